"""Facts about the real registry, each run again: what its API accepts, refuses and answers.

These are what a random program meets before it collects: which pushes count, which deletes do. The facts about
``garbage-collect`` are in `test_distribution_real.py`.
"""

from __future__ import annotations

import json

import pytest

from quotasim.model.oci import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)

from .distribution import RealRegistry, fields_of, image, index, payload, scratch, written

BASE, TOP = payload("base", 1000), payload("top", 100)
CONFIG1, CONFIG2 = payload("config 1", 31), payload("config 2", 32)
M1, M2 = image([BASE, TOP], CONFIG1), image([BASE], CONFIG2)
LIST = index([M1, M2])
MISSING = "MANIFEST_BLOB_UNKNOWN"
URL = "https://layers.example.com/base"


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


def stored(registry):
    return registry.disk().digests


# What is pushed (sections D and F)


@pytest.mark.parametrize("docker", [True, False], ids=["docker", "oci"])
def test_each_missing_blob_is_an_error_and_nothing_is_stored(registry, client, docker):
    document = image([BASE, TOP], CONFIG1, docker=docker)
    client.add("elsewhere", BASE)  # another repository's does not count
    client.add("app", TOP)
    reply = client.send("app", document, "v1")
    assert reply.told == (400, (MISSING, MISSING))
    assert reply.details == (CONFIG1.digest, BASE.digest)
    assert stored(registry) == {BASE.digest, TOP.digest}
    assert client.tags("app").told == (404, ("NAME_UNKNOWN",))


@pytest.mark.parametrize("docker", [True, False], ids=["docker", "oci"])
def test_an_index_needs_its_children_in_its_own_repository(registry, client, docker):
    client.push("elsewhere", M1)
    assert client.send("app", index([M1], docker=docker), "v1").told == (400, (MISSING,))
    client.push("app", M1)
    assert client.send("app", index([M1], docker=docker), "v1").status == 201


def test_a_refused_manifest_alone_creates_nothing(registry, client):
    assert client.send("app", M1, "v1").status == 400
    assert not (registry.root / "docker").exists()


def test_an_index_may_be_nested_empty_repeat_a_child_and_list_a_layer(registry, client):
    client.push("app", M1)
    layer = Descriptor(BASE.digest, BASE.size, OCI_MANIFEST)
    odd = [index([]), index([index([M1])]), index([M1, M1]), index([layer])]
    assert [client.push("app", document).status for document in odd] == [201] * 4
    assert [client.get_manifest("app", BASE.digest).status, client.head_manifest("app", BASE.digest).status] == [
        500
    ] * 2
    assert registry.collect().marked.count(("app", "blob", M1.digest)) == 3


@pytest.mark.parametrize("size", [999, -1])
def test_sizes_in_a_manifest_are_not_checked(registry, client, size):
    client.push("app", M1)
    image_fields = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": fields_of(CONFIG1, OCI_CONFIG),
        "layers": [fields_of(TOP, OCI_LAYER_GZIP, size)],
    }
    wrong = written(OCI_MANIFEST, image_fields, description="wrong size of a layer")
    index_fields = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [fields_of(M1, size=size)]}
    listing = written(OCI_INDEX, index_fields, description="wrong size of a child")
    assert [client.send("app", document, "v1").status for document in (wrong, listing)] == [201, 201]
    assert stored(registry) == {*M1.parts(), wrong.digest, listing.digest}


def docker_image(layer):
    fields = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": fields_of(CONFIG1, DOCKER_CONFIG),
        "layers": [layer],
    }
    return written(DOCKER_MANIFEST, fields, payloads=[CONFIG1], description="schema 2 image of one layer")


def test_a_foreign_layer_is_refused_unless_its_url_is_allowed(registry, client):
    foreign = docker_image(fields_of(BASE, DOCKER_FOREIGN_LAYER, urls=[URL]))
    client.add("app", BASE)
    assert client.push("app", foreign, "v1").told == (500, ("UNKNOWN", "UNKNOWN", MISSING))
    without = docker_image(fields_of(BASE, DOCKER_FOREIGN_LAYER))
    assert client.push("app", without, "v1").status == 500
    plain = docker_image(fields_of(TOP, DOCKER_LAYER_GZIP, urls=[URL]))
    assert client.push("app", plain, "v1").status == 201


def test_an_allowed_foreign_layer_is_neither_needed_nor_stored_but_marked():
    foreign = docker_image(fields_of(BASE, DOCKER_FOREIGN_LAYER, urls=[URL]))
    elsewhere = docker_image(fields_of(BASE, DOCKER_FOREIGN_LAYER, urls=["https://other.example.com/"]))
    with scratch() as folder, RealRegistry(folder, foreign_urls=(r"^https://layers\.example\.com/",)) as registry:
        assert registry.client.push("app", foreign, "v1").status == 201
        assert registry.client.push("app", elsewhere, "v1").status == 500
        assert registry.collect().summary == (3, 0, 0)
        assert stored(registry) == {foreign.digest, CONFIG1.digest}
        registry.client.add("app", BASE)
        registry.collect()
        assert stored(registry) == {foreign.digest, CONFIG1.digest, BASE.digest}


def test_media_types_must_agree_and_fields_must_fit(client):
    client.push("app", M1)
    invalid = (400, ("MANIFEST_INVALID",))
    assert client.put_manifest("app", "v1", M1.content, DOCKER_MANIFEST).told == invalid
    assert client.put_manifest("app", "v1", M1.content[1:], OCI_MANIFEST).told == invalid
    assert client.put_manifest("app", "v1", M1.content, "text/plain").told == invalid
    both = index([M1]).content.replace(b'"manifests"', b'"layers":[],"manifests"')
    assert client.put_manifest("app", "v1", both, OCI_INDEX).told == invalid
    both = M1.content.replace(b'"layers"', b'"manifests":[],"layers"')
    assert client.put_manifest("app", "v1", both, OCI_MANIFEST).told == invalid
    assert client.put_manifest("app", M2.digest, M1.content, OCI_MANIFEST).told == (400, ("DIGEST_INVALID",))
    large = M1.content + b" " * (4 << 20)
    assert client.put_manifest("app", "v1", large, OCI_MANIFEST).details == ("http: request body too large",)


def test_an_oci_manifest_need_not_say_its_media_type_and_a_list_must(client):
    client.push("app", M1)
    fields = json.loads(M1.content)
    del fields["mediaType"]
    silent = written(OCI_MANIFEST, fields, payloads=M1.payloads, description="OCI image that does not say so")
    assert client.send("app", silent, "v1").status == 201
    fields = {"schemaVersion": 2, "manifests": [fields_of(M1)]}
    assert client.send("app", written(OCI_INDEX, fields, description="silent index"), "v2").status == 201
    listing = written(DOCKER_MANIFEST_LIST, fields, description="silent list")
    assert client.send("app", listing, "v3").told == (400, ("MANIFEST_INVALID",))


def test_artifacts_and_any_config_are_accepted(registry, client):
    artifact = image([BASE], artifact_type="application/vnd.example.chart", annotations={"b": "2", "a": "1"})
    odd = image([TOP], CONFIG1, config_media_type="application/vnd.example.config")
    assert [client.push("app", document, "v1").status for document in (artifact, odd)] == [201, 201]
    assert registry.disk().sizes == artifact.parts() | odd.parts()


@pytest.mark.parametrize(
    ("tag", "status"), [("x" * 128, 201), ("x" * 129, 404), (".x", 404), ("-x", 404), ("a+b", 404), ("_X", 201)]
)
def test_the_grammar_of_tags(client, tag, status):
    client.push("app", M1)
    assert client.send("app", M1, tag).status == status


@pytest.mark.parametrize(
    ("name", "status"),
    [("App", 404), ("a___b", 404), ("a..b", 404), ("_a", 404), ("a__b", 202), ("a--b", 202), ("a.b/c", 202)],
)
def test_the_grammar_of_repositories(client, name, status):
    assert client.begin(name).status == status


def test_a_post_with_a_digest_ignores_its_body(registry, client):
    reply = client.request("POST", f"/v2/app/blobs/uploads/?digest={BASE.digest}", BASE.content)
    assert reply.status == 202
    assert stored(registry) == set()


def test_a_mount_needs_a_link_in_its_source(registry, client):
    client.add("a", BASE)
    mounted = client.mount("b", BASE.digest, "a")
    assert (mounted.status, mounted.digest) == (201, BASE.digest)
    asked = [(BASE.digest, "nowhere"), (BASE.digest, None), (TOP.digest, "a")]
    assert [client.mount("c", digest, source).status for digest, source in asked] == [202] * 3
    assert client.mount("a", BASE.digest, "a").status == 201
    disk = registry.disk()
    assert disk.repositories["b"].layers == {BASE.digest: BASE.digest}
    assert len(disk.repositories["c"].uploads) == 3
    assert disk.repositories["c"].folders == {"_uploads"}


# What is deleted


def test_a_delete_by_digest_takes_every_tag_along(registry, client):
    for tag in ("v1", "v2"):
        client.push("app", M1, tag)
    client.push("app", M2, "v3")
    reply = client.delete_manifest("app", M1.digest)
    assert (reply.status, reply.headers["content-length"]) == (202, "0")
    assert client.tags("app").json["tags"] == ["v3"]
    again = client.delete_manifest("app", M1.digest)
    assert again.told == (404, ("MANIFEST_UNKNOWN",))
    assert client.get_manifest("app", M1.digest).details == ({"Name": "app", "Revision": M1.digest},)
    assert client.get_manifest("app", "v1").details == ({"Tag": "v1"},)
    gone = client.head_manifest("app", "v1")
    assert (gone.status, gone.body) == (404, b"")


@pytest.mark.parametrize("reference", ["v1", "unknown"])
def test_a_delete_by_tag_is_refused(registry, client, reference):
    client.push("app", M1, "v1")
    before = registry.disk()
    assert client.delete_manifest("app", reference).told == (400, ("DIGEST_INVALID",))
    assert client.delete_manifest("nowhere", reference).told == (400, ("DIGEST_INVALID",))
    assert registry.disk() == before


def test_a_layer_deleted_as_a_manifest_loses_its_link(registry, client):
    client.push("app", M1, "v1")
    assert client.get_manifest("app", BASE.digest).status == 500
    assert client.delete_manifest("app", BASE.digest).status == 202
    assert BASE.digest not in registry.disk().repositories["app"].layers
    assert client.head_blob("app", BASE.digest).status == 404
    assert client.delete_blob("app", M1.digest).told == (404, ("BLOB_UNKNOWN",))


def test_a_manifest_uploaded_as_a_blob_is_served_but_no_root(registry, client):
    client.push("app", M2, "v1")
    client.upload("app", M1.content)
    assert [client.get_manifest("app", M1.digest).status, client.head_manifest("app", M1.digest).status] == [200] * 2
    registry.collect()
    assert stored(registry) == set(M2.parts())


def test_a_delete_removes_revision_and_layer_link_of_one_digest(registry, client):
    client.push("app", M1, "v1")
    client.upload("app", M1.content)
    assert client.delete_manifest("app", M1.digest).status == 202
    app = registry.disk().repositories["app"]
    assert (M1.digest in app.revisions, M1.digest in app.layers) == (False, False)


def test_stale_links_revive_with_the_bytes(registry, client):
    client.push("old", M1, "v1")
    client.delete_manifest("old", M1.digest)
    registry.collect()
    assert client.head_blob("old", BASE.digest).status == 404
    client.add("new", BASE)
    assert client.head_blob("old", BASE.digest).status == 200
    assert client.mount("third", BASE.digest, "old").status == 201
    client.add("old", CONFIG2)
    assert client.send("old", M2, "v2").status == 201


# What is listed and fetched


def test_tags_of_a_repository_that_has_none(client):
    assert client.tags("app").told == (404, ("NAME_UNKNOWN",))
    client.push("app", M1)
    assert client.tags("app").told == (404, ("NAME_UNKNOWN",))
    client.send("app", M1, "v1")
    client.delete_manifest("app", M1.digest)
    assert client.tags("app").json == {"name": "app", "tags": None}


def test_the_catalogue_comes_in_pages(client):
    assert client.catalog().json == {"repositories": []}
    for name in ("a", "b", "c/d", "e"):
        client.add(name, TOP)
    page = client.catalog(n=3)
    assert page.json == {"repositories": ["a", "b", "c/d"]}
    assert page.headers["link"] == '</v2/_catalog?last=c%2Fd&n=3>; rel="next"'
    last = client.catalog(n=2, last="b")
    assert (last.json, "link" in last.headers) == ({"repositories": ["c/d", "e"]}, False)
    assert client.catalog(n=0).json == {"repositories": []}
    assert client.catalog(n=1001).told == (400, ("PAGINATION_NUMBER_INVALID",))


def test_without_accept_oci_is_unknown_and_docker_is_served_by_digest(client):
    schema2 = image([BASE], CONFIG1, docker=True)
    client.push("app", schema2, "docker")
    client.push("app", M2, "oci")
    assert client.get_manifest("app", schema2.digest, accept=None).body == schema2.content
    assert client.get_manifest("app", "docker", accept=None).status == 400
    assert client.get_manifest("app", "oci", accept=None).told == (404, ("MANIFEST_UNKNOWN",))
    client.push("app", index([schema2], docker=True), "list")
    child = client.get_manifest("app", "list", accept=DOCKER_MANIFEST)
    assert (child.status, child.digest) == (200, schema2.digest)


# The server during a collection (section C; with a cache: test_distribution_cache.py)


def test_without_a_cache_a_collection_is_seen_at_once(registry, client):
    client.push("app", M1, "v1")
    client.delete_manifest("app", M1.digest)
    registry.collect()
    assert client.head_blob("app", BASE.digest).status == 404
    assert client.send("app", M1, "v1").told == (400, (MISSING,) * 3)
