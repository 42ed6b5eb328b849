"""The harness round the real registry: its process, its reset, its documents, and its reading of the tree.

Random programs show two things. An emptied server is a fresh one: the same program gets the same answers and leaves
the same tree. And `Disk` has all that the collector looks at: what it will leave can be told from there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from itertools import pairwise

import pytest

from quotasim.model.oci import Descriptor

from .distribution import Document, RealRegistry, find_program, image, index, payload, read_disk, scratch
from .strategies import THOROUGH

PROGRAMS = 600 if THOROUGH else 20
LAYERS = [payload(f"layer {number}", 20 + number) for number in range(6)]
CONFIGS = [payload(f"config {number}", 10 + number) for number in range(3)]
REPOSITORIES = ("a", "b", "a/c", "a-d")
TAGS = ("1", "2", None)
CHOICES = Counter(push=4, index=2, again=2, delete=3, delete_blob=1, upload=1, mount=1, unfinished=1)
M1 = image(LAYERS[:2], CONFIGS[0])


@pytest.fixture(scope="module")
def server():
    with scratch() as folder, RealRegistry(folder) as running:
        yield running


@pytest.fixture
def registry(server):
    server.reset()
    return server


# The process


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_registry_ends_with_its_block_and_two_do_not_meet(tmp_path):
    with RealRegistry(tmp_path / "one") as one, RealRegistry(tmp_path / "two") as two:
        assert one.client.host == two.client.host == "127.0.0.1"
        assert one.client.port != two.client.port
        one.client.push("app", M1, "v1")
        assert two.client.catalog().json == {"repositories": []}
        pids = [one.pid, two.pid]
        assert [alive(pid) for pid in pids] == [True, True]
    assert [alive(pid) for pid in pids] == [False, False]


def test_a_restart_keeps_the_tree_and_unfinished_uploads_go_on(registry):
    upload = registry.client.append(registry.client.begin("app"), LAYERS[0].content[:5])
    pid = registry.pid
    registry.restart()
    assert registry.pid != pid
    reply = registry.client.finish(upload, LAYERS[0].content[5:], LAYERS[0].digest)
    assert reply.status == 201
    assert registry.disk().blobs == {LAYERS[0].digest: LAYERS[0].content}


def test_a_server_that_does_not_start_fails_the_test_with_its_log(tmp_path):
    registry = RealRegistry(tmp_path)
    registry.configuration.write_text(json.dumps({"version": 0.1, "storage": {"no-such-driver": {}}}))
    with pytest.raises(pytest.fail.Exception, match="no-such-driver"):
        registry.start()
    assert registry.pid is None


def test_variables_of_the_environment_do_not_change_the_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "false")
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", "127.0.0.1:1")
    with RealRegistry(tmp_path) as registry:
        registry.client.push("app", M1, "v1")
        assert registry.client.delete_manifest("app", M1.digest).status == 202


def test_a_missing_program_skips_a_test_but_never_under_ci(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="docker-registry is not installed"):
        find_program()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="may not be skipped"):
        find_program()


# The documents


def documents():
    plain, schema2 = image(LAYERS[:2], CONFIGS[0]), image(LAYERS[1:3], CONFIGS[1], docker=True)
    yield from (plain, schema2, image([]), image([LAYERS[0]] * 2, LAYERS[0]))
    yield image([LAYERS[3]], artifact_type="application/vnd.example.chart", annotations={"é": "ü"})
    signature = image([LAYERS[4]], subject=plain)
    yield from (signature, image([LAYERS[4]], subject=signature))
    inner = index([plain, schema2])
    yield from (inner, index([plain, schema2], docker=True), index([inner, plain], subject=schema2), index([]))
    yield index([inner, signature], artifact_type="application/vnd.example.bundle", annotations={"b": "1", "a": "2"})


DOCUMENTS = list(documents())


@pytest.mark.parametrize("document", DOCUMENTS, ids=[one.description.rpartition(",")[0] for one in DOCUMENTS])
def test_a_document_is_on_disk_what_quotasim_says_it_is(registry, document):
    reply = registry.client.push("app", document, "v1")
    assert (reply.status, reply.digest) == (201, document.digest)
    assert (document.model.digest, document.model.size) == (document.digest, document.size)
    fetched = registry.client.get_manifest("app", "v1")
    assert (fetched.body, fetched.headers["content-type"]) == (document.content, document.media_type)
    disk = registry.disk()
    assert disk.sizes == document.parts()
    assert disk.stored_bytes == sum(document.parts().values())
    assert disk.blobs[document.digest] == document.model.manifest_bytes()
    marked = [digest for _, kind, digest in registry.collect().marked if kind == "blob"]
    own = [*document.references]
    assert Counter(own) <= Counter(marked)
    assert disk.repositories["app"].tags == {"v1": document.digest}


# The disk


def test_bytes_that_changed_on_disk_are_noticed(registry):
    registry.client.push("app", M1, "v1")
    assert registry.disk().damaged() == []
    digest = LAYERS[0].digest.removeprefix("sha256:")
    (registry.root / f"docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data").write_bytes(b"other")
    assert registry.disk().damaged() == [LAYERS[0].digest]


def test_a_tree_that_is_not_there_is_empty(tmp_path):
    disk = read_disk(tmp_path)
    assert (disk.blobs, disk.repositories, disk.stored_bytes) == ({}, {}, 0)


# Random programs


class Program:
    """A random program: what it does depends on its seed alone, and on no answer."""

    def __init__(self, registry: RealRegistry, seed: int) -> None:
        self.registry = registry
        self.random = random.Random(seed)
        self.documents: list[Document] = []
        self.answers: list[object] = []

    def run(self, operations: int) -> None:
        """Do some operations, and note the answers."""
        names = sorted(CHOICES.elements())
        for _ in range(operations):
            name = self.random.choice(names)
            reply = getattr(self, name)(self.random.choice(REPOSITORIES), self.registry.client)
            if reply is not None:
                self.answers.append((name, *reply.told))

    def push(self, repository, client):
        layers = self.random.choices(LAYERS, k=self.random.randint(0, 3))
        subject = self.random.choice([None, None, *self.documents])
        docker = subject is None and self.random.random() < 0.5
        made = image(layers, self.random.choice(CONFIGS), docker=docker, subject=subject)
        self.documents.append(made)
        return client.push(repository, made, self.random.choice(TAGS), ask=True)

    def index(self, repository, client):
        chosen = self.random.choices(self.documents, k=self.random.randint(0, 3)) if self.documents else []
        made = index(chosen, docker=self.random.random() < 0.5)
        self.documents.append(made)
        return client.push(repository, made, self.random.choice(TAGS), ask=True)

    def again(self, repository, client):
        """Put a manifest again, whose parts may not be there."""
        if not self.documents:
            return None
        return client.send(repository, self.random.choice(self.documents), self.random.choice(TAGS))

    def delete(self, repository, client):
        if not self.documents:
            return None
        return client.delete_manifest(repository, self.random.choice(self.documents).digest)

    def delete_blob(self, repository, client):
        return client.delete_blob(repository, self.random.choice(LAYERS).digest)

    def upload(self, repository, client):
        return client.upload(repository, self.random.choice(LAYERS).content)

    def mount(self, repository, client):
        return client.mount(repository, self.random.choice(LAYERS).digest, self.random.choice(REPOSITORIES))

    def unfinished(self, repository, client):
        return client.append(client.begin(repository), b"12345")


def left_by(disk, *, delete_untagged):
    """What a collection leaves of a tree: the digests stored and the revisions of each repository; None if it aborts.

    Section A of what was observed, in sets: a root is a revision with bytes, in a repository with blob links; it marks
    itself and what it names directly.
    """
    marked, revisions = set(), {}
    for name, repository in disk.repositories.items():
        revisions[name] = set(repository.revisions)
        if "_layers" not in repository.folders:
            continue
        for digest in repository.revisions & disk.digests:
            if delete_untagged and not repository.ever_tagged:
                return None
            if delete_untagged and digest not in repository.tags.values():
                revisions[name].discard(digest)
                continue
            fields = json.loads(disk.blobs[digest])
            named = [fields.get("config"), *fields.get("layers", ()), *fields.get("manifests", ())]
            marked |= {digest, *(part["digest"] for part in named if part)}
    return disk.digests & marked, revisions


def links_of(disk):
    """Everything on disk but the names of uploads, which are random."""
    places = {
        name: (one.folders, one.ever_tagged, one.layers, one.revisions, one.tags, one.tag_index, len(one.uploads))
        for name, one in disk.repositories.items()
    }
    return disk.blobs, places


def test_what_a_collection_leaves_can_be_told_from_the_disk(registry):
    """``--durations=1`` says what a program of 15 operations and two collections takes."""
    outcomes = Counter()
    for seed in range(PROGRAMS):
        registry.reset()
        program = Program(registry, seed)
        # The second half meets what the first collection left: stale links, and revisions without bytes.
        for operations, delete_untagged in ((9, False), (6, True)):
            program.run(operations)
            before = registry.disk()
            assert before.damaged() == []
            expected = left_by(before, delete_untagged=delete_untagged)
            done = registry.collect(delete_untagged=delete_untagged)
            after = registry.disk()
            if expected is None or not before.repositories:
                assert done.code == 1, (seed, done)
                assert after == before
                outcomes["aborted"] += 1
            elif done.code:
                assert "error enumerating blobs" in done.err, (seed, done)
                assert before.digests == set()
            else:
                found = after.digests, {name: one.revisions for name, one in after.repositories.items()}
                assert found == expected, (seed, delete_untagged)
                assert done.summary[1] == len(before.digests - after.digests)
                outcomes["swept"] += done.summary[1] > 0
                outcomes["untagged"] += done.summary[2] > 0
    assert min(outcomes[name] for name in ("aborted", "swept", "untagged")) >= PROGRAMS // 10, outcomes


def test_an_emptied_server_answers_as_a_fresh_one(registry):
    pid = registry.pid
    seen = []
    for seed in range(6):
        registry.reset()
        emptied = Program(registry, seed)
        emptied.run(15)
        collected = [registry.collect(), registry.collect(delete_untagged=True)]
        seen.append((emptied.answers, links_of(registry.disk()), [(one.code, one.summary) for one in collected]))
    assert registry.pid == pid
    for seed, (answers, links, outcomes) in enumerate(seen):
        with scratch() as folder, RealRegistry(folder) as fresh:
            program = Program(fresh, seed)
            program.run(15)
            collected = [fresh.collect(), fresh.collect(delete_untagged=True)]
            assert program.answers == answers
            assert links_of(fresh.disk()) == links
            assert [(one.code, one.summary) for one in collected] == outcomes
    assert all(one != other for one, other in pairwise(seen))


def test_an_emptied_server_knows_nothing_of_before(registry):
    client = registry.client
    client.push("app", M1, "v1")
    upload = client.begin("app")
    registry.reset()
    assert registry.disk() == read_disk(registry.root / "nowhere")
    assert client.catalog().json == {"repositories": []}
    assert client.tags("app").told == (404, ("NAME_UNKNOWN",))
    assert client.get_manifest("app", M1.digest).status == 404
    assert client.head_blob("app", LAYERS[0].digest).status == 404
    assert client.mount("web", LAYERS[0].digest, "app").status == 202
    assert client.send("app", M1, "v1").told == (400, ("MANIFEST_BLOB_UNKNOWN",) * 3)
    assert client.finish(upload, b"", LAYERS[0].digest).told == (404, ("BLOB_UPLOAD_UNKNOWN",))


def test_with_a_cache_a_reset_restarts_the_server():
    with scratch() as folder, RealRegistry(folder, cache="inmemory") as registry:
        registry.client.push("app", M1, "v1")
        shutil.rmtree(registry.root / "docker")
        assert registry.client.head_blob("app", LAYERS[0].digest).status == 200  # why the tree alone will not do
        registry.reset()
        assert registry.client.head_blob("app", LAYERS[0].digest).status == 404


def test_a_child_that_is_not_at_hand_is_named_but_not_pushed():
    listing = index([Descriptor(M1.digest, M1.size), M1])
    assert listing.references == (M1.digest, M1.digest)
    assert listing.children == (M1,)
