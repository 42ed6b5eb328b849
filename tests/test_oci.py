"""The OCI nouns against the specifications' text: grammar, and the very bytes of manifests."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InvalidDigest, InvalidValue, ManifestTooLarge
from quotasim.model.oci import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    EMPTY_CONFIG,
    MAX_SIZE,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    UNKNOWN_ARTIFACT,
    Blob,
    Descriptor,
    Image,
    Index,
    Kind,
    Role,
    is_foreign,
    parse_platform,
    sha256_digest,
)

A, B, C = ("sha256:" + 64 * letter for letter in "abc")
LONG = "sha512:" + 128 * "0"
BASE, TOP, CONFIG = Blob(A, 7), Blob(B, 5), Blob(C, 3)

# Constants


def test_numbers_that_the_catalogue_and_the_kernels_rely_on():
    assert (Kind.IMAGE, Kind.INDEX) == (0, 1)
    assert (Role.CONFIG, Role.LAYER, Role.CHILD) == (1, 2, 4)
    assert int(Role.CONFIG | Role.LAYER) == 3


@pytest.mark.parametrize(
    ("media_type", "foreign"),
    [
        (DOCKER_FOREIGN_LAYER, True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", True),
        (DOCKER_LAYER_GZIP, False),
        (OCI_LAYER, False),
        (OCI_LAYER_GZIP, False),
        (OCI_LAYER_ZSTD, False),
        ("application/octet-stream", False),
        ("", False),
        (None, False),
    ],
)
def test_foreign_media_types(media_type, foreign):
    assert is_foreign(media_type) is foreign


# Platforms


@pytest.mark.parametrize(
    ("platform", "parts"),
    [
        ("linux/amd64", {"os": "linux", "architecture": "amd64"}),
        ("linux/arm/v7", {"os": "linux", "architecture": "arm", "variant": "v7"}),
        (
            "windows/amd64:10.0.14393",
            {"os": "windows", "architecture": "amd64", "os.version": "10.0.14393"},
        ),
        ("unknown/unknown", {"os": "unknown", "architecture": "unknown"}),
    ],
)
def test_platforms(platform, parts):
    assert parse_platform(platform) == parts


@pytest.mark.parametrize(
    "platform", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux amd64", None]
)
def test_other_platforms_are_refused(platform):
    with pytest.raises(InvalidValue) as caught:
        parse_platform(platform)
    assert (caught.value.name, caught.value.value) == ("platform", platform)


@pytest.mark.parametrize(
    "build",
    [
        lambda platform: Descriptor(A, 1, platform=platform),
        lambda platform: Image([BASE], CONFIG, platform=platform),
        lambda platform: Image([BASE], CONFIG).on(platform),
        lambda platform: Index([], platform=platform),
    ],
)
def test_every_platform_is_checked(build):
    assert build("linux/amd64").platform == "linux/amd64"
    with pytest.raises(InvalidValue):
        build("linux")


# Blobs


@pytest.mark.parametrize("size", [0, 1, MAX_SIZE, None, np.int64(5)])
def test_sizes(size):
    blob = Blob(A, size)
    assert blob.size == size
    assert type(blob.size) in (int, type(None))


@pytest.mark.parametrize("size", [-1, MAX_SIZE + 1, True, False, 1.0, "1", np.float64(1), float("nan")])
def test_other_sizes_are_refused(size):
    for build in (Blob, Descriptor, lambda digest, size: Image(digest=digest, size=size)):
        with pytest.raises(InvalidValue) as caught:
            build(A, size)
        assert (caught.value.name, caught.value.value) == ("size", size) or size != size


@pytest.mark.parametrize("media_type", ["", "tar", "a/b/c", "application/", "a b/c", "a/b\n", 5])
def test_other_media_types_are_refused(media_type):
    for build in (lambda kind: Blob(A, 1, kind), lambda kind: Image([BASE], CONFIG, artifact_type=kind)):
        with pytest.raises(InvalidValue):
            build(media_type)


def test_synthetic_blobs_stand_for_their_label():
    blob = Blob.synthetic("alpine base", 3_408_729, OCI_LAYER_ZSTD)
    assert blob.digest == "sha256:" + hashlib.sha256(b"alpine base").hexdigest()
    assert (blob.size, blob.media_type) == (3_408_729, OCI_LAYER_ZSTD)
    assert Blob.synthetic("alpine base", 1).digest == blob.digest
    assert Blob.synthetic("alpine top", 1).digest != blob.digest


# Image manifests


def test_a_layer_says_where_it_lies_in_the_manifest_alone():
    url = "https://layers.example.com/base"
    far = Blob(A, 7, DOCKER_FOREIGN_LAYER, [url])
    image = Image([far, TOP], CONFIG, media_type=DOCKER_MANIFEST)
    assert json.loads(image.manifest_bytes())["layers"][0] == {
        "mediaType": DOCKER_FOREIGN_LAYER,
        "digest": A,
        "size": 7,
        "urls": [url],
    }
    assert Image([Blob(A, 7, urls=(url,))], CONFIG).layers[0].urls == (url,)
    assert image.digest != Image([Blob(A, 7, DOCKER_FOREIGN_LAYER), TOP], CONFIG, media_type=DOCKER_MANIFEST).digest
    for wrong in (url, [1], ["\u00e9"], 5):
        with pytest.raises(InvalidValue, match="urls must be"):
            Blob(A, 7, urls=wrong)


def test_bytes_of_an_image_manifest():
    image = Image([BASE, TOP, BASE], CONFIG, platform="linux/amd64", annotations={"z": "\u00e9", "a": "<&>"})
    expected = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        '"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"' + C + '","size":3},'
        '"layers":['
        '{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' + A + '","size":7},'
        '{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' + B + '","size":5},'
        '{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' + A + '","size":7}],'
        '"annotations":{"a":"<&>","z":"\u00e9"}}'
    ).encode()
    assert image.manifest_bytes() == expected
    assert image.size == len(expected)
    assert image.digest == "sha256:" + hashlib.sha256(expected).hexdigest()
    assert image.descriptor == Descriptor(image.digest, len(expected), OCI_MANIFEST, "linux/amd64")
    assert image.kind is Kind.IMAGE
    assert [layer.digest for layer in image.layers] == [A, B, A]


def test_bytes_of_an_artifact_with_a_subject():
    subject = Image([BASE], CONFIG, platform="linux/amd64")
    signature = Image([TOP], subject=subject, artifact_type="application/vnd.example.signature")
    expected = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        '"artifactType":"application/vnd.example.signature",'
        '"config":{"mediaType":"application/vnd.oci.empty.v1+json",'
        '"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},'
        '"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' + B + '","size":5}],'
        '"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"digest":"{subject.digest}","size":{subject.size}}}}}'
    ).encode()
    assert signature.manifest_bytes() == expected
    assert signature.subject == Descriptor(subject.digest, subject.size, OCI_MANIFEST)


def test_a_subject_may_be_absent_content():
    absent = Descriptor(LONG, 99, OCI_INDEX)
    assert Image([BASE], CONFIG, subject=absent).subject == absent


def test_the_empty_config_is_two_bytes_and_needs_an_artifact_type():
    assert sha256_digest(b"{}") == EMPTY_CONFIG.digest
    image = Image([BASE])
    assert (image.config, image.artifact_type) == (EMPTY_CONFIG, UNKNOWN_ARTIFACT)
    assert Image([BASE], EMPTY_CONFIG).digest == image.digest
    assert Image([BASE], CONFIG).artifact_type is None


def test_media_types_are_filled_in_by_role_and_format():
    oci = Image([BASE, Blob(B, 5, DOCKER_FOREIGN_LAYER)], CONFIG)
    assert [layer.media_type for layer in oci.layers] == [OCI_LAYER_GZIP, DOCKER_FOREIGN_LAYER]
    assert oci.config.media_type == OCI_CONFIG
    docker = Image([BASE], CONFIG, media_type=DOCKER_MANIFEST)
    assert (docker.layers[0].media_type, docker.config.media_type) == (DOCKER_LAYER_GZIP, DOCKER_CONFIG)
    assert json.loads(docker.manifest_bytes())["mediaType"] == DOCKER_MANIFEST


def test_schema_1_has_no_config_and_lists_the_top_layer_first():
    image = Image([BASE, Blob(B, None)], media_type=DOCKER_SCHEMA1)
    assert image.config is None
    document = json.loads(image.manifest_bytes())
    assert document["schemaVersion"] == 1
    assert document["fsLayers"] == [{"blobSum": B}, {"blobSum": A}]
    assert len(document["history"]) == 2
    assert image.size == len(image.manifest_bytes())


def test_a_digest_given_stands_for_a_manifest_that_is_not_at_hand():
    image = Image([Blob(A, None)], digest=LONG, size=401)
    assert (image.digest, image.size, image.config, image.manifest_bytes()) == (LONG, 401, None, None)
    assert image.artifact_type is None
    assert Image(digest=A).size is None
    assert Image([BASE], media_type=DOCKER_SCHEMA1_SIGNED, digest=B, size=1).digest == B


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: Image([Blob(A, None)], CONFIG), "digest"),
        (lambda: Image([BASE], Blob(C, None)), "digest"),
        (lambda: Image([BASE], CONFIG, subject=Descriptor(A, None)), "digest"),
        (lambda: Image([BASE], media_type=DOCKER_SCHEMA1_SIGNED), "digest"),
        (
            lambda: Image([BASE], CONFIG, media_type="application/vnd.cncf.oras.artifact.manifest.v1+json"),
            "digest",
        ),
        (lambda: Image([BASE], CONFIG, size=5), "size"),
        (lambda: Image([BASE], CONFIG, media_type=OCI_INDEX), "media_type"),
        (lambda: Image([BASE], CONFIG, media_type=DOCKER_SCHEMA1), "config"),
        (lambda: Image([BASE], media_type=DOCKER_MANIFEST), "config"),
        (lambda: Image([BASE], A), "config"),
        (lambda: Image([A], CONFIG), "layers"),
        (lambda: Image([Image([BASE], CONFIG)], CONFIG), "layers"),
        (lambda: Image(BASE, CONFIG), "layers"),
        (lambda: Image([BASE], CONFIG, subject=BASE), "subject"),
        (lambda: Image([BASE], CONFIG, media_type=DOCKER_MANIFEST, subject=Descriptor(A, 1)), "subject"),
        (lambda: Image([BASE], CONFIG, media_type=DOCKER_MANIFEST, artifact_type="a/b"), "artifact_type"),
        (lambda: Image([BASE], CONFIG, media_type=DOCKER_MANIFEST, annotations={"a": "b"}), "annotations"),
        (lambda: Image([BASE], CONFIG, annotations={"a": 1}), "annotations"),
        (lambda: Image([BASE], CONFIG, annotations={1: "a"}), "annotations"),
        (lambda: Image([BASE], CONFIG, annotations={"a": "\ud800"}), "annotations"),
        (lambda: Image([BASE], CONFIG, annotations=["a"]), "annotations"),
        (lambda: Index([BASE]), "manifests"),
        (lambda: Index({"linux/amd64": Image([BASE], CONFIG)}), "manifests"),
        (lambda: Index(Image([BASE], CONFIG)), "manifests"),
        (lambda: Index([], media_type=OCI_MANIFEST), "media_type"),
        (lambda: Index([Descriptor(A, None)]), "digest"),
        (lambda: Index([Descriptor(A, 1)], media_type=DOCKER_MANIFEST_LIST), "manifests"),
        (lambda: Index([], size=3), "size"),
    ],
)
def test_wrong_arguments_are_named(build, name):
    with pytest.raises(InvalidValue) as caught:
        build()
    assert caught.value.name == name


@pytest.mark.parametrize("build", [lambda: Blob("sha256:x", 1), lambda: Image([BASE], CONFIG, digest="sha256:x")])
def test_wrong_digests_are_refused(build):
    with pytest.raises(InvalidDigest):
        build()


def test_one_manifest_lists_at_most_what_an_int64_holds():
    own = 1_000
    fits = Image([Blob(A, MAX_SIZE - own - 3)], CONFIG, digest=B, size=own)
    assert fits.layers[0].size == MAX_SIZE - 1_003
    for layers in ([Blob(A, MAX_SIZE - own - 2)], [Blob(A, (MAX_SIZE - 1_003) // 2 + 1)] * 2):
        with pytest.raises(ManifestTooLarge) as caught:
            Image(layers, CONFIG, digest=B, size=own)
        assert caught.value.listed_bytes == sum(layer.size for layer in layers) + 1_003
        assert caught.value.limit == MAX_SIZE
        assert caught.value.digest == B


# Indexes


def test_bytes_of_an_index():
    image = Image([BASE], CONFIG)
    child = Descriptor(B, 55, platform="linux/arm/v7")
    index = Index([image.on("linux/amd64"), child, Index([child])])
    expected = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
        '{"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"digest":"{image.digest}","size":{image.size},'
        '"platform":{"architecture":"amd64","os":"linux"}},'
        '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"' + B + '","size":55,'
        '"platform":{"architecture":"arm","os":"linux","variant":"v7"}},'
        '{"mediaType":"application/vnd.oci.image.index.v1+json",'
        f'"digest":"{Index([child]).digest}","size":{Index([child]).size}}}]}}'
    ).encode()
    assert index.manifest_bytes() == expected
    assert index.digest == "sha256:" + hashlib.sha256(expected).hexdigest()
    assert index.kind is Kind.INDEX
    assert [part.platform for part in index.descriptors] == ["linux/amd64", "linux/arm/v7", None]


def test_a_manifest_list_is_written_in_dockers_format():
    image = Image([BASE], CONFIG, media_type=DOCKER_MANIFEST, platform="linux/amd64")
    document = json.loads(Index([image], media_type=DOCKER_MANIFEST_LIST).manifest_bytes())
    assert document["mediaType"] == DOCKER_MANIFEST_LIST
    assert document["manifests"][0]["mediaType"] == DOCKER_MANIFEST


def test_an_index_may_be_empty_or_given_by_digest():
    assert json.loads(Index([]).manifest_bytes())["manifests"] == []
    given_index = Index([Descriptor(A, None)], digest=B)
    assert (given_index.digest, given_index.size, given_index.manifest_bytes()) == (B, None, None)


def test_deep_nesting_needs_no_recursion():
    index = Index([])
    for _ in range(3_000):
        index = Index([index])
    assert index == copy.copy(index)
    assert len(repr(index)) < 200
    assert hash(index) == hash(copy.copy(index))


# Objects


def test_the_platform_is_no_part_of_the_manifest():
    image = Image([BASE], CONFIG)
    amd64, arm64 = image.on("linux/amd64"), image.on("linux/arm64")
    assert amd64.digest == arm64.digest == image.digest
    assert amd64.layers is image.layers
    assert amd64 != arm64
    assert image.platform is None


def test_equal_content_is_equal_and_hashes_alike():
    one, two = (Image([BASE, TOP], CONFIG, annotations=notes) for notes in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}))
    assert one == two
    assert hash(one) == hash(two)
    assert one != Image([TOP, BASE], CONFIG)
    assert one != Index([], digest=one.digest, size=one.size)


@pytest.mark.parametrize(
    "value", [BASE, Descriptor(A, 1), Image([BASE], annotations={"a": "b"}), Index([Image([BASE])])]
)
def test_objects_are_frozen_and_travel_between_processes(value):
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.digest = B
    twin = pickle.loads(pickle.dumps(value))
    assert twin == value
    if isinstance(value, Image | Index):
        assert twin.manifest_bytes() == value.manifest_bytes()


def test_replace_cannot_leave_a_stale_digest():
    with pytest.raises((ValueError, TypeError)):
        dataclasses.replace(Image([BASE], CONFIG), layers=(TOP,))


@given(
    st.lists(st.tuples(st.sampled_from([A, B, LONG]), st.integers(0, 2**40)), max_size=5),
    st.text(st.characters(codec="utf-8")),
)
def test_manifests_are_json_that_says_what_was_given(layers, note):
    image = Image([Blob(digest, size) for digest, size in layers], CONFIG, annotations={"note": note})
    document = json.loads(image.manifest_bytes())
    assert [(layer["digest"], layer["size"]) for layer in document["layers"]] == layers
    assert document["annotations"] == {"note": note}
    assert document["config"]["digest"] == C
