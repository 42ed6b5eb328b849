"""What the real registry's cache hides when it is not restarted after a collection; and that ours has no such cache.

With ``cache: blobdescriptor: inmemory``, as most installations have it, the server remembers the descriptor of every
blob that was uploaded, mounted or asked for since it started, and of every manifest that was looked at. The collector
is another process: what it sweeps the server still believes to be there, until it is restarted. Ours forgets at once,
as the real registry does without a cache; where the two differ a test shows both.

`test_distribution_differential.py` therefore runs its programs without a cache, or restarts after each collection.
"""

from __future__ import annotations

from http.client import IncompleteRead

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

import quotasim as qs
from quotasim.errors import UnknownBlob

from .distribution import Memory, RealRegistry, image, index, payload, scratch
from .test_distribution_differential import PROGRAMS, settings_of_programs

BASE, TOP1, TOP2 = payload("base", 1000), payload("top 1", 100), payload("top 2", 10)
CONFIG1, CONFIG2 = payload("config 1", 31), payload("config 2", 32)
M1, M2 = image([BASE, TOP1], CONFIG1), image([BASE, TOP2], CONFIG2)
LIST = index([M1])
PARTS = {part.digest for part in (BASE, TOP1, CONFIG1)}
MISSING = (400, ("MANIFEST_BLOB_UNKNOWN",) * 3)
UNKNOWN = (404, ("MANIFEST_UNKNOWN",))


@pytest.fixture(scope="module")
def server():
    with scratch() as folder, RealRegistry(folder, cache="inmemory") as running:
        yield running


@pytest.fixture
def warm(server):
    server.reset()
    return server


@pytest.fixture
def swept(warm):
    """A registry whose only image was deleted and swept while the server ran on."""
    warm.client.push("app", M1, "v1")
    assert warm.client.delete_manifest("app", M1.digest).status == 202
    assert warm.collect().summary == (0, 4, 0)
    assert stored(warm) == set()
    return warm


@pytest.fixture
def ours():
    """The same on ours."""
    registry = qs.Registry("distribution-2.8")
    registry.push("app:v1", M1.model)
    registry.delete(f"app@{M1.digest}")
    registry.apply(registry.plan_gc())
    assert registry.usage().stored_bytes == 0
    return registry


def stored(registry):
    return registry.disk().digests


def is_cut_short(registry, repository, part):
    """Whether a blob is announced with its size and comes without a byte."""
    try:
        registry.client.get_blob(repository, part.digest)
    except IncompleteRead as cut:
        return (len(cut.partial), cut.expected) == (0, part.size)
    return False


# What was swept


def test_a_swept_blob_is_there_for_a_head_and_comes_without_bytes(swept):
    asked = swept.client.head_blob("app", BASE.digest)
    assert (asked.status, asked.headers["content-length"]) == (200, "1000")
    assert is_cut_short(swept, "app", BASE)
    assert swept.client.head_blob("app", BASE.digest).status == 200  # a GET that failed teaches it nothing
    assert swept.client.head_blob("web", BASE.digest).status == 404
    swept.restart()
    assert swept.client.head_blob("app", BASE.digest).status == 404


def test_a_swept_blob_is_mounted_and_only_the_link_is_written(swept, ours):
    assert swept.client.mount("web", BASE.digest, "app").status == 201
    assert swept.client.head_blob("web", BASE.digest).status == 200
    assert is_cut_short(swept, "web", BASE)
    assert (stored(swept), swept.disk().repositories["web"].layers.keys()) == (set(), {BASE.digest})
    swept.restart()
    assert swept.client.mount("third", BASE.digest, "app").status == 202
    with pytest.raises(UnknownBlob):
        ours.mount(BASE.digest, "app", "web")


def test_a_swept_manifest_is_accepted_tagged_and_not_written(swept, ours):
    assert swept.client.send("app", M1, "v1").status == 201
    assert swept.client.get_manifest("app", "v1").told == UNKNOWN
    assert swept.client.head_manifest("app", M1.digest).status == 404
    assert swept.client.tags("app").json["tags"] == ["v1"]
    disk = swept.disk()
    assert (disk.digests, disk.repositories["app"].tags) == (set(), {"v1": M1.digest})
    swept.restart()
    assert swept.client.send("app", M1, "v1").told == MISSING
    with pytest.raises(UnknownBlob):
        ours.put_manifest("app:v1", M1.model)


def test_a_client_that_asks_first_uploads_nothing_and_is_told_that_all_is_well(swept):
    assert swept.client.push("app", M1, "v1", ask=True).status == 201
    assert stored(swept) == set()
    assert swept.client.get_manifest("app", "v1").told == UNKNOWN
    swept.restart()
    assert swept.client.push("app", M1, "v1", ask=True).status == 201
    assert stored(swept) == PARTS | {M1.digest}


@pytest.mark.parametrize("repository", ["app", "web"])
def test_a_whole_push_brings_the_blobs_back_and_the_next_collection_takes_them_again(swept, ours, repository):
    for _ in range(2):
        assert swept.client.push(repository, M1, "v1").status == 201
        assert swept.client.get_manifest(repository, "v1").told == UNKNOWN
        assert stored(swept) == PARTS
    # The manifest that names them has no bytes to be read: it is no root.
    assert swept.collect().summary == (0, 3, 0)
    assert stored(swept) == set()
    swept.restart()
    assert swept.client.push(repository, M1, "v1").status == 201
    assert swept.client.get_manifest(repository, "v1").status == 200
    assert swept.collect().summary == (4, 0, 0)
    # Ours is as after the restart, at once.
    assert ours.push(f"{repository}:v1", M1.model).uploaded_bytes == sum(M1.parts().values())
    assert ours.plan_gc().reclaimable_bytes == 0


def test_a_lost_manifest_comes_back_when_its_bytes_are_uploaded_as_a_blob(swept):
    swept.client.push("app", M1, "v1")
    assert stored(swept) == PARTS
    assert swept.client.upload("app", M1.content).status == 201
    assert swept.client.get_manifest("app", "v1").body == M1.content
    assert swept.collect().summary == (4, 0, 0)


def test_another_manifest_of_a_swept_layer_is_written_and_cannot_be_pulled(swept, ours):
    for part in (TOP2, CONFIG2):
        swept.client.add("app", part)
        ours.upload("app", part.blob())
    assert swept.client.send("app", M2, "v2").status == 201
    assert swept.client.get_manifest("app", "v2").status == 200
    assert is_cut_short(swept, "app", BASE)
    left = {M2.digest, TOP2.digest, CONFIG2.digest}
    assert swept.collect().summary == (4, 0, 0)  # the missing layer is marked and counted too
    assert stored(swept) == left
    swept.restart()
    assert swept.client.get_manifest("app", "v2").status == 200
    assert swept.client.head_blob("app", BASE.digest).status == 404
    assert swept.client.send("app", M2, "v2").told == (400, ("MANIFEST_BLOB_UNKNOWN",))
    with pytest.raises(UnknownBlob):
        ours.put_manifest("app:v2", M2.model)


def test_a_push_across_a_collection_loses_its_layers(warm):
    ours = qs.Registry("distribution-2.8")
    for part in M1.payloads:
        warm.client.add("app", part)
        ours.upload("app", part.blob())
    assert warm.collect().summary == (0, 3, 0)
    ours.apply(ours.plan_gc())
    assert warm.client.send("app", M1, "v1").status == 201
    assert warm.client.get_manifest("app", "v1").status == 200
    assert stored(warm) == {M1.digest}
    warm.restart()
    assert warm.client.get_manifest("app", "v1").status == 200
    assert warm.client.head_blob("app", BASE.digest).status == 404
    assert warm.collect().summary == (4, 0, 0)
    with pytest.raises(UnknownBlob):
        ours.put_manifest("app:v1", M1.model)


def test_children_that_a_collection_destroyed_are_taken_without_their_layers(warm):
    warm.client.push("app", LIST, "v1")
    assert warm.collect(delete_untagged=True).summary == (2, 3, 1)
    assert warm.client.send("app", LIST, "v2").told == (400, ("MANIFEST_BLOB_UNKNOWN",))
    assert warm.client.send("app", M1).status == 201  # links are not cached, layers are
    assert warm.client.send("app", LIST, "v2").status == 201
    assert warm.client.get_manifest("app", M1.digest).status == 200
    assert stored(warm) == {LIST.digest, M1.digest}


# What it remembers, and until when

LOOKS = {
    "get": lambda client: client.get_manifest("app", "v1"),
    "head": lambda client: client.head_manifest("app", M1.digest),
    "second put": lambda client: client.send("app", M1, "v1"),
    "put of an index": lambda client: (client.send("app", LIST, "l"), client.delete_manifest("app", LIST.digest)),
    "get elsewhere": lambda client: (client.push("web", M1, "v1"), client.get_manifest("web", "v1")),
}


@pytest.mark.parametrize("look", [None, *LOOKS])
def test_a_manifest_is_remembered_once_it_was_looked_at(warm, look):
    """The first put alone does not do it: such a manifest is written again when it is put after a collection."""
    warm.client.push("app", M1, "v1")
    if look is not None:
        LOOKS[look](warm.client)
    for repository in ("app", "web"):
        warm.client.push(repository, M2, "v1")
    assert M1.digest in warm.collect(delete_untagged=True).blobs
    assert warm.client.send("app", M1, "old").status == 201
    assert warm.client.get_manifest("app", "old").told == ((200, ()) if look is None else UNKNOWN)
    assert (M1.digest in stored(warm)) == (look is None)


def test_a_server_remembers_only_what_it_was_asked_since_it_started(warm):
    warm.client.push("app", M1, "v1")
    warm.restart()
    assert warm.client.head_blob("app", BASE.digest).status == 200
    warm.client.delete_manifest("app", M1.digest)
    warm.collect()
    assert [warm.client.head_blob("app", part.digest).status for part in (BASE, TOP1)] == [200, 404]
    assert warm.client.send("app", M1, "v1").told == (400, ("MANIFEST_BLOB_UNKNOWN",) * 2)


def test_deleting_a_swept_blob_makes_the_server_forget_it_in_that_repository_alone(swept):
    assert swept.client.mount("web", BASE.digest, "app").status == 201
    assert swept.client.delete_blob("app", BASE.digest).status == 202
    assert [swept.client.head_blob(name, BASE.digest).status for name in ("app", "web")] == [404, 200]
    assert swept.client.send("app", M1, "v1").told == (400, ("MANIFEST_BLOB_UNKNOWN",))


def test_an_upload_of_a_swept_blob_is_written_even_if_it_began_before_the_collection(warm):
    warm.client.push("app", M1, "v1")
    upload = warm.client.append(warm.client.begin("app"), BASE.content[:500])
    warm.client.delete_manifest("app", M1.digest)
    warm.collect()
    assert warm.client.finish(upload, BASE.content[500:], BASE.digest).status == 201
    assert warm.client.get_blob("app", BASE.digest).body == BASE.content
    assert stored(warm) == {BASE.digest}


def test_a_layer_deleted_as_a_manifest_counts_until_the_restart(warm):
    warm.client.push("app", M1, "v1")
    assert warm.client.delete_manifest("app", BASE.digest).status == 202
    for part in (TOP2, CONFIG2):
        warm.client.add("app", part)
    assert warm.client.send("app", M2, "v2").status == 201
    assert warm.client.mount("web", BASE.digest, "app").status == 201
    assert warm.client.delete_manifest("app", BASE.digest).status == 404
    warm.restart()
    assert warm.client.send("app", M2, "v2").told == (400, ("MANIFEST_BLOB_UNKNOWN",))


def test_a_mount_from_where_the_blob_was_deleted_is_none(warm):
    warm.client.add("a", BASE)
    warm.client.mount("b", BASE.digest, "a")
    assert warm.client.delete_blob("a", BASE.digest).status == 202
    assert warm.client.mount("c", BASE.digest, "a").status == 202
    assert warm.client.mount("a", BASE.digest, "b").status == 201


# Random programs: what it answers is told from what it was asked before

TAG = "latest"
DOCUMENTS = {one.digest: one for one in (M1, M2, image([TOP1], CONFIG2), image([TOP1, TOP2], CONFIG1, docker=True))}
BLOBS = {part.digest: part for one in DOCUMENTS.values() for part in one.payloads}
repositories = st.sampled_from(["app", "web"])
blobs, manifests = st.sampled_from(sorted(BLOBS)), st.sampled_from(sorted(DOCUMENTS))
steps = st.one_of(
    st.tuples(st.just("push"), repositories, manifests),
    st.tuples(st.just("push"), repositories, manifests),
    st.tuples(st.just("put"), repositories, manifests),
    st.tuples(st.just("get"), repositories, manifests),
    st.tuples(st.just("delete"), repositories, manifests),
    st.tuples(st.just("delete"), repositories, manifests),
    st.tuples(st.just("upload"), repositories, blobs),
    st.tuples(st.just("head"), repositories, blobs),
    st.tuples(st.just("mount"), repositories, repositories, blobs),
    st.tuples(st.just("delete blob"), repositories, blobs),
    st.tuples(st.just("collect"), st.booleans()),
    st.tuples(st.just("collect"), st.booleans()),
    st.tuples(st.just("collect"), st.booleans()),
    st.tuples(st.just("restart")),
)
# Most programs begin with something that was swept: else the server is seldom wrong.
beginnings = st.just([]) | st.builds(
    lambda *pushed: [("push", *pushed), ("delete", *pushed), ("collect", False)], repositories, manifests
)
# Every program ends with questions about all that there may be: what a server believes is not seen before it is asked.
QUESTIONS = [
    *[("head", name, digest) for digest in sorted(BLOBS) for name in ("app", "web")],
    *[("mount", *pair, digest) for digest in sorted(BLOBS) for pair in (("app", "web"), ("web", "app"))],
    *[("head", name, digest) for digest in sorted(BLOBS) for name in ("app", "web")],
    *[
        (kind, name, digest)
        for digest in sorted(DOCUMENTS)
        for name in ("app", "web")
        for kind in ("get", "put", "get")
    ],
]


def do(registry, memory, step):
    """Do one step on the real registry and in the model, which must foretell its status."""
    kind, *names, what = step if len(step) > 1 else (*step, None)
    client = registry.client
    if kind == "push":
        for part in DOCUMENTS[what].payloads:
            do(registry, memory, ("upload", *names, part.digest))
        do(registry, memory, ("put", *names, what))
    elif kind == "collect":
        if memory.disk:
            assert registry.collect(delete_untagged=what).code == 0
            memory.collect(lambda one: set(DOCUMENTS[one].references), delete_untagged=what)
    elif kind == "restart":
        registry.restart()
        memory.restart()
    else:
        said, told = {
            "put": lambda: (client.send(*names, DOCUMENTS[what], TAG), memory.put(*names, DOCUMENTS[what])),
            "get": lambda: (client.get_manifest(*names, what), memory.get(*names, what)),
            "delete": lambda: (client.delete_manifest(*names, what), memory.delete(*names, what)),
            "upload": lambda: (client.upload(*names, BLOBS[what].content), memory.upload(*names, what)),
            "head": lambda: (client.head_blob(*names, what), memory.head(*names, what)),
            "mount": lambda: (client.mount(names[1], what, names[0]), memory.mount(what, *names)),
            "delete blob": lambda: (client.delete_blob(*names, what), memory.delete_blob(*names, what)),
        }[kind]()
        assert said.status == told


def test_what_it_answers_can_be_told_from_what_it_was_asked(server):
    wrong = []

    @settings(settings_of_programs, max_examples=PROGRAMS or 60)
    @given(beginnings, st.lists(steps, min_size=3, max_size=30))
    def program(beginning, drawn):
        server.reset()
        memory, once = Memory(), False
        for step in [*beginning, *drawn, *QUESTIONS]:
            note(str(step))
            do(server, memory, step)
            assert stored(server) == memory.disk
            once = once or not memory.known <= memory.disk
        wrong.append(once)

    program()
    print(f"{len(wrong):,} programs, {sum(wrong):,} of them with a server that was once wrong")  # noqa: T201
    assert sum(wrong) > len(wrong) / 4
