"""Facts about the real registry, each run again: what ``garbage-collect`` does, and what it leaves on disk.

The profile ``distribution-2.8`` is written from these facts. Where Debian's docker-registry changes its ways, a test
here says which. What a test expects is the digests on disk, written out. What the API answers is the subject of
`test_distribution_answers.py`, and the harness itself that of `test_distribution_harness.py`.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from quotasim.model.oci import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST

from .distribution import RealRegistry, fields_of, image, index, payload, scratch, written

BASE, TOP1, TOP2 = payload("base", 1000), payload("top 1", 100), payload("top 2", 10)
CONFIG1, CONFIG2, CONFIG3 = payload("config 1", 31), payload("config 2", 32), payload("config 3", 33)
M1, M2 = image([BASE, TOP1], CONFIG1), image([BASE, TOP2], CONFIG2)
M3 = image([BASE, TOP1], CONFIG3, docker=True)
C1, C2 = image([TOP1], CONFIG1), image([TOP2], CONFIG2)
LIST = index([C1, C2])
NO_TAGS = (
    "failed to garbage collect: failed to mark: filesystem: filesystem: failed to retrieve tags unknown repository"
)


@pytest.fixture(scope="module")
def server():
    with scratch() as folder, RealRegistry(folder) as running:
        yield running


@pytest.fixture
def registry(server):
    server.reset()
    return server


@pytest.fixture
def client(registry):
    return registry.client


def digests(*things):
    return {thing.digest for thing in things}


def whole(*documents):
    """The digests of all that documents are made of."""
    return {digest for document in documents for digest in document.parts()}


def collect(registry, **options):
    """Collect without a failure, and return the numbers of the last line."""
    done = registry.collect(**options)
    assert done.code == 0, done
    return done.summary


# The collector (section A of the observations)


def test_the_program_is_the_version_that_was_observed(server):
    said = subprocess.run([server.program, "--version"], capture_output=True, text=True, check=True).stdout
    assert " 2.8." in said


def test_repositories_are_walked_by_the_components_of_their_names(registry, client):
    for name in ("c/d", "e-f", "b", "e/g", "c", "a"):
        client.push(name, M1)
    assert registry.collect().repositories == ["a", "b", "c", "c/d", "e/g", "e-f"]


def test_manifests_are_marked_in_the_order_of_their_digests(registry, client):
    for document in (M1, M2, M3, C1, C2):
        client.push("app", document)
    marked = [digest for _, kind, digest in registry.collect().marked if kind == "manifest"]
    assert marked == sorted(digests(M1, M2, M3, C1, C2))


def test_a_manifest_marks_what_it_names_directly_and_nothing_further(registry, client):
    client.push("app", LIST, "v1")
    done = registry.collect(delete_untagged=True)
    assert done.marked == [("app", "manifest", LIST.digest), *[("app", "blob", child.digest) for child in (C1, C2)]]
    assert set(done.manifests) == digests(C1, C2)
    assert done.blobs == sorted(digests(TOP1, TOP2, CONFIG1, CONFIG2))


def test_a_second_run_finds_nothing(registry, client):
    client.push("app", LIST, "v1")
    client.push("app", M1, "v1")
    collect(registry, delete_untagged=True)
    before = registry.disk()
    assert collect(registry, delete_untagged=True) == (4, 0, 0)
    assert registry.disk() == before


def test_a_dry_run_says_the_same_and_changes_nothing(registry, client):
    client.push("app", M1, "v1")
    client.push("app", M2, "v1")
    before = registry.disk()
    dry = registry.collect(delete_untagged=True, dry_run=True)
    assert (dry.code, registry.disk()) == (0, before)
    wet = registry.collect(delete_untagged=True)
    assert (dry.summary, dry.marked, dry.manifests, dry.blobs) == (wet.summary, wet.marked, wet.manifests, wet.blobs)
    assert "Deleting blob" in wet.err
    assert "Deleting blob" not in dry.err


def test_a_registry_that_was_never_used_cannot_be_collected(registry):
    done = registry.collect()
    assert done.code == 1
    assert "failed to mark: filesystem: Path not found: /docker/registry/v2/repositories" in done.err


def test_without_blobs_the_collector_fails_and_with_all_swept_it_does_not(registry, client):
    assert client.mount("app", BASE.digest, "web").status == 202
    assert "error enumerating blobs: filesystem: Path not found" in registry.collect().err
    client.upload("app", BASE.content)
    assert registry.collect().code == 0
    assert registry.disk().blobs == {}
    assert registry.collect().code == 0


def test_it_deletes_although_the_server_may_not():
    with scratch() as folder, RealRegistry(folder, delete=False) as registry:
        registry.client.push("app", M1, "v1")
        registry.client.push("app", M2, "v1")
        for reply in (
            registry.client.delete_manifest("app", M1.digest),
            registry.client.delete_blob("app", BASE.digest),
        ):
            assert reply.told == (405, ("UNSUPPORTED",))
        assert collect(registry, delete_untagged=True) == (4, 3, 1)
        assert registry.disk().digests == whole(M2)


# What a collection frees (section B)


def test_a_shared_base_stays_when_one_of_two_images_goes(registry, client):
    client.push("app", M1, "v1")
    client.push("app", M2, "v2")
    assert client.delete_manifest("app", M1.digest).told == (202, ())
    assert registry.disk().digests == whole(M1, M2)
    assert collect(registry) == (4, 3, 0)
    disk = registry.disk()
    assert disk.digests == whole(M2)
    assert disk.stored_bytes == 1000 + 10 + 32 + M2.size
    assert disk.repositories["app"].layers.keys() == digests(BASE, TOP1, TOP2, CONFIG1, CONFIG2)


def test_a_tag_that_moved_frees_nothing_unless_untagged_manifests_are_deleted(registry, client):
    client.push("app", M1, "latest")
    client.push("app", M2, "latest")
    assert collect(registry) == (7, 0, 0)
    assert client.get_manifest("app", M1.digest).status == 200
    assert registry.disk().repositories["app"].tag_index == {"latest": digests(M1, M2)}
    assert collect(registry, delete_untagged=True) == (4, 3, 1)
    disk = registry.disk()
    assert (disk.digests, disk.repositories["app"].revisions) == (whole(M2), digests(M2))
    assert disk.repositories["app"].tag_index == {"latest": digests(M2)}
    assert client.get_manifest("app", M1.digest).status == 404


def test_a_tag_that_moved_back_keeps_the_first(registry, client):
    for document in (M1, M2, M1):
        client.push("app", document, "latest")
    assert collect(registry, delete_untagged=True) == (4, 3, 1)
    assert registry.disk().digests == whole(M1)


def test_a_tag_does_not_fall_back_to_what_it_was(registry, client):
    client.push("app", M1, "latest")
    client.push("app", M2, "latest")
    client.delete_manifest("app", M2.digest)
    assert client.get_manifest("app", "latest").told == (404, ("MANIFEST_UNKNOWN",))
    assert client.tags("app").json == {"name": "app", "tags": None}
    assert collect(registry, delete_untagged=True) == (0, 7, 1)
    assert registry.disk().digests == set()


@pytest.mark.parametrize(("untagged", "tagged"), ["ab", "ba"])
def test_an_untagged_copy_goes_though_another_repository_has_it_tagged(registry, client, untagged, tagged):
    client.push(untagged, M2, "v1")
    client.push(untagged, M1)
    client.push(tagged, M1, "v1")
    assert collect(registry, delete_untagged=True) == (7, 0, 1)
    disk = registry.disk()
    assert disk.digests == whole(M1, M2)
    assert (disk.repositories[untagged].revisions, disk.repositories[tagged].revisions) == (digests(M2), digests(M1))


def test_what_a_deleted_manifest_shares_with_another_stays(registry, client):
    client.push("a", M1, "v1")
    client.push("a", M2, "v1")
    client.push("c", M3, "v1")
    collect(registry, delete_untagged=True)
    assert whole(M1, M2, M3) - registry.disk().digests == digests(M1, CONFIG1)


@pytest.mark.parametrize("elsewhere", ["a", "z"])
def test_delete_untagged_aborts_at_a_repository_that_never_had_a_tag(registry, client, elsewhere):
    client.push(elsewhere, M1, "v1")
    client.push(elsewhere, M2, "v1")
    client.push("never", M1)
    before = registry.disk()
    for dry_run in (True, False):
        done = registry.collect(delete_untagged=True, dry_run=dry_run)
        assert (done.code, done.summary) == (1, None)
        assert f"{NO_TAGS} name=never" in done.err
        assert done.manifests[-1] == M1.digest
        assert registry.disk() == before
    assert collect(registry) == (7, 0, 0)


def test_delete_untagged_goes_on_where_tags_were_once(registry, client):
    client.push("app", M1, "v1")
    client.delete_manifest("app", M1.digest)
    client.push("app", M2)
    assert registry.disk().repositories["app"].ever_tagged
    assert collect(registry, delete_untagged=True) == (0, 7, 1)
    assert registry.disk().digests == set()


def test_delete_untagged_goes_on_where_no_revision_is_left(registry, client):
    client.push("app", M1)
    client.delete_manifest("app", M1.digest)
    client.mount("mounted", BASE.digest, "app")
    assert collect(registry, delete_untagged=True) == (0, 4, 0)


@pytest.mark.parametrize("docker", [True, False], ids=["docker", "oci"])
def test_delete_untagged_destroys_the_children_of_a_tagged_index(registry, client, docker):
    children = [image([TOP1], CONFIG1, docker=docker), image([TOP2], CONFIG2, docker=docker)]
    listing = index(children, docker=docker)
    client.push("app", listing, "v1")
    assert collect(registry) == (7, 0, 0)
    assert collect(registry, delete_untagged=True) == (3, 4, 2)
    disk = registry.disk()
    assert (disk.digests, disk.repositories["app"].revisions) == (digests(listing, *children), digests(listing))
    assert client.get_manifest("app", "v1").status == 200
    assert [client.get_manifest("app", child.digest).status for child in children] == [404, 404]
    # Putting the index again is refused, though its children's bytes are there (section F, 5).
    assert client.send("app", listing, "v2").told == (400, ("MANIFEST_BLOB_UNKNOWN",) * 2)
    client.delete_manifest("app", listing.digest)
    collect(registry)
    assert registry.disk().digests == set()


def test_a_tagged_child_is_kept_and_an_inner_index_keeps_its_bytes_only(registry, client):
    inner = index([C2])
    outer = index([C1, inner])
    client.push("app", outer, "v1")
    client.send("app", C1, "child")
    collect(registry, delete_untagged=True)
    disk = registry.disk()
    assert disk.digests == whole(C1) | digests(outer, inner)
    assert disk.repositories["app"].revisions == digests(outer, C1)


def test_an_untagged_index_of_tagged_children_goes_alone(registry, client):
    client.push("app", LIST)
    client.send("app", C1, "1")
    client.send("app", C2, "2")
    assert collect(registry, delete_untagged=True) == (6, 1, 1)
    assert registry.disk().digests == whole(C1, C2)


def test_a_deleted_index_leaves_its_children_and_a_deleted_child_its_bytes(registry, client):
    client.push("app", LIST, "v1")
    assert client.delete_manifest("app", C1.digest).status == 202
    collect(registry)
    assert registry.disk().digests == whole(C2) | digests(LIST, C1)
    client.delete_manifest("app", LIST.digest)
    collect(registry)
    assert registry.disk().digests == whole(C2)


def test_a_child_lives_in_another_repository_while_its_index_is_broken(registry, client):
    client.push("a", LIST, "v1")
    client.push("a", C2, "2")
    client.push("b", C1, "v1")
    assert collect(registry, delete_untagged=True) == (7, 0, 1)
    assert client.get_manifest("a", C1.digest).status == 404
    assert client.get_manifest("b", C1.digest).status == 200


def test_a_referrer_is_as_untagged_as_any_manifest(registry, client):
    signature = payload("signature", 20)
    referrer = image([signature], subject=M1, artifact_type="application/vnd.example.signature")
    client.push("app", M1, "v1")
    pushed = client.push("app", referrer)
    assert (pushed.status, "oci-subject" in pushed.headers) == (201, False)
    missing = client.request("GET", f"/v2/app/referrers/{M1.digest}")
    assert (missing.status, missing.body) == (404, b"404 page not found\n")
    assert collect(registry) == (7, 0, 0)
    assert collect(registry, delete_untagged=True) == (4, 3, 1)
    assert registry.disk().digests == whole(M1)


def test_a_subject_is_neither_needed_nor_kept(registry, client):
    referrer = image([TOP2], subject=M1)
    client.push("app", referrer, "signature")
    client.push("app", M1, "v1")
    client.delete_manifest("app", M1.digest)
    collect(registry)
    assert registry.disk().digests == whole(referrer)


def test_blobs_without_a_manifest_go_at_once_and_their_links_stay(registry, client):
    client.upload("app", BASE.content)
    client.push("web", M2, "v1")
    client.upload("web", TOP1.content)
    collect(registry)
    disk = registry.disk()
    assert disk.digests == whole(M2)
    assert disk.repositories["app"].layers == {BASE.digest: BASE.digest}
    assert TOP1.digest in disk.repositories["web"].layers
    assert client.head_blob("web", TOP1.digest).status == 404


def test_unfinished_uploads_outlive_every_collection(registry, client):
    client.push("app", M1, "v1")
    client.append(client.begin("app"), b"12345")
    assert client.upload("app", TOP2.content, digest=BASE.digest).told == (400, ("DIGEST_INVALID",))
    assert client.mount("app", TOP2.digest, "nowhere").status == 202
    for untagged in (False, True):
        collect(registry, delete_untagged=untagged)
        disk = registry.disk()
        uploads = disk.repositories["app"].uploads.values()
        assert sorted(files["data"] for files in uploads) == sorted([b"", b"12345", TOP2.content])
        assert disk.upload_bytes == 15
        assert disk.digests == whole(M1)


def test_a_cancelled_upload_leaves_the_state_of_its_hash(registry, client):
    upload = client.append(client.begin("app"), b"12345")
    assert client.cancel(upload).status == 204
    (files,) = registry.disk().repositories["app"].uploads.values()
    assert {path: len(content) for path, content in files.items()} == {"hashstates/sha256/0": 108}


def test_an_upload_in_chunks_is_stored_as_one(registry, client):
    half = BASE.size // 2
    reply = client.upload_chunks("app", [BASE.content[:half], BASE.content[half:]])
    assert (reply.status, reply.digest) == (201, BASE.digest)
    assert registry.disk().blobs == {BASE.digest: BASE.content}
    assert client.get_blob("app", BASE.digest).body == BASE.content


def test_deleting_a_blob_breaks_the_image_in_that_repository_alone(registry, client):
    client.push("a", M1, "v1")
    client.push("b", M1, "v1")
    assert client.delete_blob("a", BASE.digest).status == 202
    assert [client.head_blob(name, BASE.digest).status for name in "ab"] == [404, 200]
    assert client.get_manifest("a", "v1").status == 200
    assert collect(registry) == (4, 0, 0)
    assert client.delete_blob("a", BASE.digest).told == (404, ("BLOB_UNKNOWN",))


def test_a_blob_listed_twice_is_marked_twice_and_counted_once(registry, client):
    twice = image([BASE, BASE], BASE)
    assert client.push("app", twice, "v1").status == 201
    done = registry.collect()
    assert [digest for _, kind, digest in done.marked if kind == "blob"] == [BASE.digest] * 3
    assert done.summary == (2, 0, 0)


def test_a_blob_of_no_bytes_is_a_blob(registry, client):
    nothing = payload("", 0)
    assert client.push("app", image([nothing], CONFIG1), "v1").status == 201
    assert client.head_blob("app", nothing.digest).headers["content-length"] == "0"
    collect(registry)
    assert registry.disk().sizes[nothing.digest] == 0


def test_a_blob_named_by_its_sha512_is_swept_though_it_is_in_use(registry, client):
    named = BASE.sha512
    assert client.upload("app", BASE.content, named).status == 201
    client.add("app", CONFIG1)
    layer = fields_of(BASE, OCI_LAYER_GZIP, digest=named)
    fields = {"schemaVersion": 2, "config": fields_of(CONFIG1, OCI_CONFIG), "layers": [layer]}
    document = written(OCI_MANIFEST, fields, payloads=[CONFIG1], description="layer named by its sha512")
    assert client.send("app", document, "v1").status == 201
    assert registry.disk().repositories["app"].layers[named] == BASE.digest
    assert collect(registry) == (3, 1, 0)
    assert registry.disk().digests == digests(document, CONFIG1)


def test_a_repository_of_an_empty_index_alone_is_not_seen_and_loses_it(registry, client):
    empty = index([])
    client.push("app", M1, "v1")
    assert client.push("lonely", empty, "v1").status == 201
    assert registry.disk().repositories["lonely"].folders == {"_manifests"}
    assert client.catalog().json == {"repositories": ["app"]}
    assert registry.collect().repositories == ["app"]
    assert registry.disk().digests == whole(M1)
    assert client.tags("lonely").json["tags"] == ["v1"]
    assert client.get_manifest("lonely", "v1").status == 404


def test_a_manifest_without_its_bytes_is_left_for_ever_and_heals_by_a_push(registry, client):
    client.push("app", M1, "v1")
    digest = M1.digest.removeprefix("sha256:")
    shutil.rmtree(registry.root / f"docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}")
    assert client.get_manifest("app", M1.digest).status == 404
    assert client.delete_manifest("app", M1.digest).status == 404
    assert collect(registry) == (0, 3, 0)
    assert collect(registry, delete_untagged=True) == (0, 0, 0)
    assert registry.disk().repositories["app"].revisions == digests(M1)
    client.push("app", M1, "v1")
    assert client.get_manifest("app", "v1").body == M1.content


def test_an_emptied_repository_stays_in_the_catalogue(registry, client):
    client.push("app", M1, "v1")
    client.delete_manifest("app", M1.digest)
    collect(registry)
    assert registry.disk().digests == set()
    assert client.catalog().json == {"repositories": ["app"]}
    assert client.tags("app").json == {"name": "app", "tags": None}
