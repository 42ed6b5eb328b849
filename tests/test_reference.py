"""The grammar of digests and references against the specifications' text."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InvalidDigest, InvalidReference
from quotasim.model.oci import (
    Reference,
    format_digest,
    namespace_of,
    parse_digest,
    parse_reference,
    parse_repository,
    parse_tag,
    sha256_digest,
)

A = "sha256:" + 64 * "a"

# Written down from the distribution-spec's text, not from the code: what a name may look like.
WORDS = st.text("az09", min_size=1, max_size=5)
SEPARATORS = st.sampled_from([".", "_", "__", "-", "----"])
COMPONENTS = st.builds(
    lambda first, rest: first + "".join(separator + word for separator, word in rest),
    WORDS,
    st.lists(st.tuples(SEPARATORS, WORDS), max_size=4),
)
REPOSITORIES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
TAGS = st.builds(operator.add, st.sampled_from("azAZ09_"), st.text("azAZ09_.-", max_size=127))
DIGESTS = st.one_of(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))


# Digests


@given(DIGESTS)
def test_digests_survive_formatting(raw):
    text = format_digest(raw)
    assert parse_digest(text) == raw
    assert text == ("sha256:" if len(raw) == 32 else "sha512:") + raw.hex()


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256",
        "sha256:",
        ":" + 64 * "a",
        64 * "a",
        A[:-1],
        A + "a",
        A + "\n",
        " " + A,
        A.upper(),
        "SHA256:" + 64 * "a",
        "sha256:" + 64 * "A",
        "sha256:" + 64 * "g",
        "sha256:" + 63 * "a" + "\n",
        "sha256:" + 62 * "a" + "..",
        "sha256:../../" + 58 * "a",
        "sha256:" + 64 * "\uff10",
        "sha256::" + 63 * "a",
        "sha512:" + 64 * "a",
        "sha256:" + 128 * "a",
        "sha384:" + 96 * "a",
        "md5:" + 32 * "a",
        "sha256+b64:" + 64 * "a",
        None,
        5,
        A.encode(),
    ],
)
def test_other_digests_are_refused(digest):
    with pytest.raises(InvalidDigest) as caught:
        parse_digest(digest)
    assert caught.value.digest is digest


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_raw_digests_of_other_lengths_are_refused(length):
    with pytest.raises(InvalidDigest, match=f"and this has {length}"):
        format_digest(bytes(length))


def test_digest_of_content_is_the_published_one():
    # FIPS 180-2, appendix B.1.
    assert sha256_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# References


@given(REPOSITORIES, TAGS)
def test_tagged_references_survive_formatting(repository, tag):
    reference = parse_reference(f"{repository}:{tag}")
    assert reference == Reference(repository, tag=tag)
    assert str(reference) == f"{repository}:{tag}"


@given(REPOSITORIES, DIGESTS)
def test_digest_references_survive_formatting(repository, raw):
    text = f"{repository}@{format_digest(raw)}"
    reference = parse_reference(text)
    assert (reference.repository, reference.tag, reference.untagged) == (repository, None, False)
    assert str(reference) == text


@given(REPOSITORIES)
def test_a_repository_alone_means_its_tag_latest(repository):
    assert parse_reference(repository) == Reference(repository, tag="latest")


def test_untagged_names_every_untagged_manifest():
    reference = parse_reference("team-a/web@untagged")
    assert reference == Reference("team-a/web", untagged=True)
    assert str(reference) == "team-a/web@untagged"
    assert parse_reference("web:untagged") == Reference("web", tag="untagged")


@given(st.text(alphabet="aA0._-/:@ \n", max_size=12))
def test_anything_else_is_refused_and_what_is_read_is_written_back(text):
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert str(reference) in (text, f"{text}:latest")


@pytest.mark.parametrize(
    "reference",
    [
        "",
        ":v1",
        "@untagged",
        "web:",
        "web@",
        "Web:v1",
        "web/:v1",
        "/web:v1",
        "a//b:v1",
        "../web:v1",
        "a/../b:v1",
        "web_:v1",
        "a..b:v1",
        "a___b:v1",
        "a.-b:v1",
        "web :v1",
        "web:v1\n",
        "web:.v1",
        "web:-v1",
        "web:v 1",
        "web:v\u00e9",
        "web:" + 129 * "v",
        256 * "a" + ":v1",
        "localhost:5000/web:v1",
        "web:v1:v2",
        f"web:v1@{A}",
        "web:v1@untagged",
        f"web@{A.upper()}",
        "web@sha256:abc",
        "web@UNTAGGED",
        f"web@{A}@{A}",
        None,
        5,
    ],
)
def test_references_outside_the_grammar_are_refused(reference):
    with pytest.raises(InvalidReference) as caught:
        parse_reference(reference)
    assert caught.value.reference is reference


@pytest.mark.parametrize(
    "name", ["a", "0", "a.b", "a_b", "a__b", "a---b", "a/b/c", "registry.example/team/web", 255 * "a"]
)
def test_repository_names_at_the_edge_of_the_grammar(name):
    assert parse_repository(name) == name


def test_a_long_hostile_name_is_refused_at_once():
    with pytest.raises(InvalidReference):
        parse_repository("a-" * 127)
    with pytest.raises(InvalidReference, match="at most 255 characters, and this has 1000001"):
        parse_repository("a" * 1_000_001)


def test_tags_at_the_edge_of_the_grammar():
    for tag in ("_", "0", "A", 128 * "v", "v1.0-rc_1"):
        assert parse_tag(tag) == tag


@pytest.mark.parametrize(
    "fields",
    [{}, {"tag": "v1", "digest": A}, {"tag": "v1", "untagged": True}, {"digest": A, "untagged": True}],
)
def test_a_reference_names_exactly_one_thing(fields):
    with pytest.raises(InvalidReference):
        Reference("web", **fields)


def test_namespace():
    assert namespace_of("team-a/web/base") == "team-a"
    assert namespace_of("alpine") == "library"
    assert namespace_of("library/alpine") == "library"
