"""The quirks of distribution 2.8, by name, on the real registry and on ours: `Twins` compares what it does on both.

The expected digests are written out, so that a test says what the quirk is and not only that both have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import quotasim as qs
from quotasim.errors import CollectionAborted, UnknownBlob, UnknownReference
from quotasim.model.oci import DOCKER_FOREIGN_LAYER, Descriptor

from .distribution import Payload, RealRegistry, Twins, WidePayload, image, index, payload, scratch

BASE, TOP1, TOP2 = payload("base", 1000), payload("top 1", 100), payload("top 2", 10)
CONFIG1, CONFIG2 = payload("config 1", 31), payload("config 2", 32)
WIDE = WidePayload(payload("wide", 70).content)
M1, M2 = image([BASE, TOP1], CONFIG1), image([BASE, TOP2], CONFIG2, docker=True)
LIST = index([M1, M2])
EMPTY = index([])
URL = "https://layers.example.com/far"


@pytest.fixture(scope="module")
def server() -> Iterator[RealRegistry]:
    with scratch() as folder, RealRegistry(folder, foreign_urls=(URL,)) as running:
        yield running


@pytest.fixture
def twins(server: RealRegistry) -> Twins:
    server.reset()
    return Twins(server, [WIDE])


def digests(*things):
    return {thing.digest for thing in things}


def aborted_at(twins):
    with pytest.raises(CollectionAborted) as refused:
        twins.ours.plan_gc("delete-untagged")
    assert twins.collect(delete_untagged=True).code == 1
    return refused.value.repository


def test_a_registry_that_never_stored_anything_cannot_be_collected(twins):
    assert twins.collect().code == 1
    assert not twins.mount(BASE.digest, "app", "web")
    assert twins.collect().code == 1
    assert twins.ours.usage().reclaimable_bytes == 0
    twins.upload("app", BASE)
    assert twins.collect().blobs == [BASE.digest]
    assert twins.collect().code == 0  # all is gone, and it was used once


def test_delete_untagged_fails_at_the_first_repository_that_never_had_a_tag(twins):
    twins.push("app", M1, "v1")
    twins.push("app", M2, "v1")
    assert twins.collect(delete_untagged=True).manifests == [M1.digest]
    for name in ("c-d", "c/d"):
        twins.push(name, M1)
    assert aborted_at(twins) == "c/d"
    twins.push("c/d", M1, "v1")
    assert aborted_at(twins) == "c-d"
    twins.delete("c-d", M1.digest)
    assert twins.collect(delete_untagged=True).code == 0
    assert twins.sizes().keys() == digests(M1, BASE, TOP1, CONFIG1, M2, TOP2, CONFIG2)


def test_a_repository_that_lost_its_last_tag_is_emptied_and_fails_nothing(twins):
    twins.push("app", M1, "v1")
    twins.push("app", M2)
    twins.delete("app", M1.digest)
    assert twins.collect(delete_untagged=True).manifests == [M2.digest]
    assert twins.sizes() == {}


def test_delete_untagged_takes_a_copy_that_another_repository_has_tagged(twins):
    twins.push("app", M1, "v1")
    twins.push("web", M1)
    twins.push("web", M2, "v1")
    assert twins.collect(delete_untagged=True).manifests == [M1.digest]
    assert twins.links() == [("app", M1.digest), ("web", M2.digest)]
    assert twins.sizes().keys() == digests(M1, M2, BASE, TOP1, TOP2, CONFIG1, CONFIG2)


def test_delete_untagged_destroys_what_a_tagged_index_lists_and_keeps_the_childrens_own_bytes(twins):
    twins.push("app", LIST, "v1")
    assert sorted(twins.collect(delete_untagged=True).manifests) == sorted(digests(M1, M2))
    assert twins.sizes().keys() == digests(LIST, M1, M2)
    assert not twins.delete("app", M1.digest)
    twins.delete("app", LIST.digest)
    twins.collect()
    assert twins.sizes() == {}


def test_a_repository_without_blobs_loses_its_tagged_index(twins):
    twins.push("app", M1, "v1")
    twins.push("lists", EMPTY, "v1")
    twins.push("lists", index([EMPTY]), "outer")
    assert twins.collect().blobs == sorted(digests(EMPTY, index([EMPTY])))
    assert not twins.delete("lists", EMPTY.digest)
    assert not twins.tag("lists", EMPTY.digest, "v2")
    for call in (twins.ours.pull, twins.ours.untag, twins.ours.delete, twins.ours.why):
        with pytest.raises(UnknownReference):
            call("lists:v1")
    assert twins.ours.delete("lists@untagged").deleted == ()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_a_repository_without_blobs_lost_comes_back_with_its_bytes(twins, elsewhere):
    twins.push("lists", EMPTY, "v1")
    twins.push("lists", index([EMPTY]), "outer")
    twins.collect()
    twins.upload("lists", BASE)  # now it is walked, and there is nothing to read
    assert twins.collect(delete_untagged=True).summary == (0, 1, 0)
    twins.push("app" if elsewhere else "lists", index([EMPTY]), "new")
    if elsewhere:
        twins.upload("app", BASE)
    assert twins.collect().summary == (2, int(elsewhere), 0)
    assert twins.delete("lists", EMPTY.digest)
    left = {"outer"} if elsewhere else {"outer", "new"}
    assert twins.tags()["lists"] == dict.fromkeys(left, index([EMPTY]).digest)


def test_a_blob_in_use_under_its_sha512_is_swept_and_a_push_brings_it_back(twins):
    document = image([WIDE, TOP1], CONFIG1)
    for _ in range(2):
        twins.push("app", document, "v1")
        assert twins.sizes().keys() == digests(document, TOP1, CONFIG1) | {WIDE.filed}
        assert twins.collect().blobs == [WIDE.filed]
        assert twins.sizes().keys() == digests(document, TOP1, CONFIG1)


def test_a_stale_link_gives_out_its_blob_while_the_bytes_are_there_and_again_when_they_are(twins):
    twins.push("app", M1, "v1")
    twins.delete("app", M1.digest)
    assert twins.mount(BASE.digest, "app", "web")
    twins.collect()
    assert twins.sizes() == {}
    assert not twins.mount(BASE.digest, "app", "web")
    assert not twins.delete_blob("app", BASE.digest)
    twins.upload("elsewhere", BASE)
    assert twins.mount(BASE.digest, "app", "web")
    assert twins.delete_blob("app", BASE.digest)
    assert not twins.mount(BASE.digest, "app", "web")
    assert twins.mount(BASE.digest, "web", "app")


def test_a_blob_deleted_below_a_manifest_is_kept_by_it_and_not_given_out(twins):
    twins.push("app", M1, "v1")
    assert twins.delete_blob("app", BASE.digest)
    assert not twins.delete_blob("app", BASE.digest)
    assert not twins.mount(BASE.digest, "app", "web")
    assert twins.collect(delete_untagged=True).summary == (4, 0, 0)
    twins.delete("app", M1.digest)
    assert twins.blob_links()["app"] == digests(TOP1, CONFIG1)
    twins.push("app", M1, "v1")
    assert twins.delete_blob("app", BASE.digest)
    twins.push("app", M1, "v1")
    assert twins.mount(BASE.digest, "app", "web")
    twins.compare()


def test_the_bytes_of_a_manifest_are_no_blob_of_its_repository(twins):
    twins.push("app", LIST, "v1")
    for document in (LIST, M1):
        assert not twins.mount(document.digest, "app", "web")
        assert not twins.delete_blob("app", document.digest)


def test_a_deletion_takes_a_blob_link_of_the_same_digest_along_and_a_collection_does_not(twins):
    own = Payload(M1.content)
    for _ in range(2):
        twins.push("app", M1, "v1")
        twins.upload("app", own)
        twins.push("app", M1, "v1")
        assert own.digest in twins.blob_links()["app"]
        assert twins.mount(own.digest, "app", "web")
        twins.delete("app", M1.digest)
        twins.compare()
        assert own.digest not in twins.blob_links()["app"]
    twins.push("app", M1, "v1")
    twins.upload("app", own)
    twins.push("app", M2, "v1")
    assert twins.collect(delete_untagged=True).manifests == [M1.digest]
    assert own.digest in twins.blob_links()["app"]


def test_a_subject_is_neither_needed_nor_kept_and_keeps_nothing(twins):
    signature = image([TOP2], subject=M1)
    twins.push("app", signature, "v1")
    twins.push("app", M1)
    assert twins.collect(delete_untagged=True).manifests == [M1.digest]
    twins.push("app", M1, "v1")
    assert twins.collect(delete_untagged=True).manifests == [signature.digest]


def test_a_manifest_is_not_tagged_where_a_part_of_it_is_gone(twins):
    twins.push("app", LIST, "v1")
    twins.push("app", M1, "v3")
    twins.collect(delete_untagged=True)
    assert not twins.tag("app", LIST.digest, "v2")
    twins.push("app", M2)
    assert twins.tag("app", LIST.digest, "v2")
    twins.delete_blob("app", BASE.digest)
    assert not twins.tag("app", M1.digest, "v2")
    assert twins.tag("app", LIST.digest, "v3")
    twins.compare()


def test_a_layer_that_an_index_lists_is_a_part_like_a_child(twins):
    twins.upload("app", BASE)
    listing = index([Descriptor(BASE.digest, BASE.size)])
    twins.push("app", listing, "v1")
    assert twins.tag("app", listing.digest, "v2")
    twins.delete_blob("app", BASE.digest)
    assert not twins.tag("app", listing.digest, "v3")


def test_a_foreign_layer_is_no_part_that_a_tag_needs(twins):
    document = image([payload("far", 500).blob(DOCKER_FOREIGN_LAYER, URL), TOP1], CONFIG1, docker=True)
    twins.push("app", document, "v1")
    assert twins.tag("app", document.digest, "v2")
    assert twins.collect().summary == (4, 0, 0)  # it is marked all the same
    twins.delete_blob("app", TOP1.digest)
    assert not twins.tag("app", document.digest, "v3")


def test_a_child_without_its_bytes_is_a_part_that_is_gone(twins):
    outer = index([EMPTY])
    twins.push("lists", outer, "v1")
    twins.collect()
    twins.upload("app", Payload(outer.content))  # as a blob: that alone brings the index back, and not its child
    assert not twins.tag("lists", outer.digest, "v2")
    assert not twins.delete("lists", EMPTY.digest)
    assert twins.collect().blobs == [outer.digest]


def test_bytes_under_two_digests_are_one_file_there_and_two_blobs_here(twins):
    twins.upload("app", WIDE)
    twins.upload("app", Payload(WIDE.content))
    assert twins.real.disk().stored_bytes == WIDE.size
    assert twins.ours.usage().stored_bytes == 2 * WIDE.size
    assert twins.collect().blobs == [WIDE.filed]


def test_a_part_swept_under_one_digest_and_kept_under_the_other_is_there_and_not_here(twins):
    document = image([WIDE], CONFIG1)
    twins.push("app", document, "v1")
    twins.push("web", image([Payload(WIDE.content)], CONFIG1), "v1")
    assert twins.collect().blobs == []
    assert twins.real.client.send("app", document, "v2").status == 201
    with pytest.raises(UnknownBlob):
        twins.ours.tag("app:v1", "v2")


def test_an_index_of_a_child_that_is_not_there_is_refused_there_and_taken_here(twins):
    listing = index([M1.model.descriptor])
    assert twins.real.client.send("app", listing, "v1").told == (400, ("MANIFEST_BLOB_UNKNOWN",))
    assert twins.ours.push("app:v1", listing.model).accepted


def test_an_uploaded_foreign_layer_is_stored_there_and_not_here(twins):
    far = payload("far", 500)
    assert twins.real.client.upload("app", far.content).status == 201
    twins.ours.upload("app", far.blob(DOCKER_FOREIGN_LAYER))
    assert (twins.real.disk().stored_bytes, twins.ours.usage().stored_bytes) == (far.size, 0)


def test_a_preview_promises_nothing_where_the_collector_would_fail(twins):
    profile = twins.ours.profile
    always = qs.Registry(replace(profile, gc=profile.gc_policy("delete-untagged")))
    always.push(f"app@{M1.digest}", M1.model)
    always.push("web:v1", M2.model)
    assert always.usage().reclaimable_bytes == 0
    assert always.preview(delete=["web:v1"]).freed_stored_bytes == 0
    assert always.preview(delete=[f"app@{M1.digest}"]).freed_stored_bytes == M1.size + TOP1.size + CONFIG1.size
