"""Random programs on the real registry and on ours: after every collection both have the same bytes.

`QUOTASIM_PROGRAMS=5000` draws so many programs, and others in every run; a failure prints the program. Each quirk has a
test of its own as well, in `test_distribution_quirks.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from quotasim.model.oci import (
    DOCKER_FOREIGN_LAYER,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)

from .distribution import (
    Document,
    Payload,
    RealRegistry,
    Twins,
    WidePayload,
    fields_of,
    image,
    index,
    payload,
    pick,
    scratch,
    written,
)

PROGRAMS = int(os.environ.get("QUOTASIM_PROGRAMS", "0"))
settings_of_programs = settings(
    max_examples=PROGRAMS or 200,
    derandomize=not PROGRAMS,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

# A walk takes c/d before c-d, and the order of texts the other way round. To "lists" mostly indexes are pushed.
REPOSITORIES = ("c/d", "c-d", "lists")
TAGS = ("1", "2", "latest")
LAYERS = [payload(f"layer {place}", size) for place, size in enumerate((60, 50, 10, 1, 0))]
CONFIGS = [payload(f"config {place}", 31 + place) for place in range(3)]
WIDE = [WidePayload(payload("wide", 70).content), WidePayload(LAYERS[0].content)]
FAR = payload("far", 500).blob(DOCKER_FOREIGN_LAYER, "https://layers.example.com/far")


def silent_image() -> Document:
    """An image that does not say its media type."""
    fields = {
        "schemaVersion": 2,
        "config": fields_of(CONFIGS[1], OCI_CONFIG),
        "layers": [fields_of(LAYERS[2], OCI_LAYER_GZIP)],
    }
    return written(OCI_MANIFEST, fields, payloads=[CONFIGS[1], LAYERS[2]], description="image without media type")


def world() -> list[Document]:
    """Content of every shape that the real registry accepts."""
    plain = [
        image([LAYERS[0], LAYERS[1]], CONFIGS[0]),
        image([LAYERS[0], LAYERS[2]], CONFIGS[1], docker=True),
        image([LAYERS[1]], CONFIGS[1]),
    ]
    odd = [
        image(),  # an artifact of nothing
        image([LAYERS[3], LAYERS[3], LAYERS[4]], CONFIGS[2]),  # a layer twice, and one of no bytes
        image([CONFIGS[0]], CONFIGS[0], docker=True),  # one blob as config and as layer
        image([LAYERS[2]], annotations={"org.example.note": "ä"}, artifact_type="application/vnd.example"),
        image([WIDE[0], LAYERS[1]], CONFIGS[2]),
        image([WIDE[1]], CONFIGS[0]),
        image([FAR, LAYERS[1]], CONFIGS[0], docker=True),
        silent_image(),
    ]
    signature = image([LAYERS[3]], subject=plain[0])
    countersignature = image([LAYERS[4]], subject=signature)
    dangling = image([LAYERS[2]], CONFIGS[0], subject=image([LAYERS[4]], CONFIGS[0]))
    empty = [index([]), index([], docker=True)]
    lists = [index(plain[:2]), index(plain[1:], docker=True), index([plain[2], plain[2], signature])]
    nested = [index([lists[0], plain[2]]), index(empty), index([empty[0], plain[0]])]
    of_list = index([], subject=lists[0])
    return [*plain, *odd, signature, countersignature, dangling, *empty, *lists, *nested, of_list]


WORLD = world()
HOLLOW = [document for document in WORLD if not document.payloads and not any(c.payloads for c in document.children)]

numbers = st.integers(0, 999)
repositories = st.sampled_from(REPOSITORIES)
tags = st.sampled_from((None, None, *TAGS))
layers = st.lists(st.sampled_from([*LAYERS, *WIDE]), max_size=3)
images = st.builds(
    lambda layers, config, docker: image(layers, config, docker=docker), layers, st.sampled_from(CONFIGS), st.booleans()
)
artifacts = st.builds(
    lambda layers, subject: image(layers, subject=subject), layers, st.none() | st.sampled_from(WORLD)
)
children = st.lists(st.sampled_from(WORLD) | images, max_size=3)
indexes = st.builds(
    lambda children, docker, subject: index(children, docker=docker, subject=None if docker else subject),
    children,
    st.booleans(),
    st.none() | st.sampled_from(WORLD),
)
documents = st.sampled_from(WORLD) | images | artifacts | indexes

steps = st.one_of(
    st.tuples(st.just("push"), repositories, documents, tags, st.booleans()),
    st.tuples(st.just("push"), repositories, documents, tags, st.booleans()),
    st.tuples(st.just("push"), st.just("lists"), st.sampled_from(HOLLOW), tags, st.just(False)),
    st.tuples(st.just("push"), st.just("lists"), st.sampled_from(HOLLOW), tags, st.just(False)),
    st.tuples(st.just("list a layer"), repositories, st.sampled_from(LAYERS), tags),
    st.tuples(st.just("upload"), repositories, st.sampled_from([*LAYERS, *CONFIGS, *WIDE])),
    st.tuples(st.just("upload a manifest"), repositories, st.sampled_from(WORLD)),
    st.tuples(st.just("mount"), numbers, repositories),
    st.tuples(st.just("delete blob"), numbers),
    st.tuples(st.just("tag"), numbers, st.sampled_from(TAGS)),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("collect"), st.just(False)),
    st.tuples(st.just("collect"), st.booleans()),
)
programs = st.tuples(st.lists(steps, min_size=3, max_size=18), st.booleans())


def blobs_named(twins: Twins) -> list[tuple[str, str]]:
    """Every (repository, blob) that a client may ask for: whether it is there is for the registries to say.

    What is linked there, or was; a manifest, which is no blob; and a layer that may be nowhere. What the real registry
    has under two names is left out.
    """
    left_out = {*twins.filed, *twins.filed.values()}
    names, content = twins.ours.engine.names.repositories.values, twins.ours.engine.content
    found = {(name, digest) for name, digests in twins.blob_links().items() for digest in digests - left_out}
    for repository, blob in zip(*twins.ours.engine.state.removed_blob_links(), strict=True):
        found.add((names[repository], content.digest(blob)))
    return sorted(found | set(twins.links()[:2]) | {(REPOSITORIES[0], LAYERS[1].digest)})


def do(twins: Twins, step: tuple) -> None:
    """Do one step of a program on both."""
    kind, *arguments = step
    if kind == "push":
        repository, document, tag, ask = arguments
        twins.push(repository, document, tag, ask=ask)
    elif kind == "list a layer":
        repository, layer, tag = arguments
        twins.upload(repository, layer)
        twins.push(repository, index([Descriptor(layer.digest, layer.size, OCI_MANIFEST)]), tag)
    elif kind == "upload a manifest":
        repository, document = arguments
        twins.upload(repository, Payload(document.content))
    elif kind == "upload":
        twins.upload(*arguments)
    elif kind == "mount":
        which, target = arguments
        source, digest = pick(blobs_named(twins), which)
        twins.mount(digest, source, target)
    elif kind == "delete blob":
        twins.delete_blob(*pick(blobs_named(twins), *arguments))
    elif kind == "collect":
        twins.collect(delete_untagged=arguments[0])
    elif links := twins.links():
        which, *rest = arguments
        act = twins.tag if kind == "tag" else twins.delete
        act(*pick(links, which), *rest)


@pytest.fixture(scope="module")
def server() -> Iterator[RealRegistry]:
    with scratch() as folder, RealRegistry(folder, foreign_urls=(r"^https://layers\.example\.com/",)) as running:
        yield running


def test_after_every_collection_both_have_the_same_bytes(server):
    collections, aborted = [], []

    @settings_of_programs
    @given(programs)
    def program(drawn):
        listed, untagged_first = drawn
        server.reset()
        twins = Twins(server, WIDE)
        for step in [*listed, ("collect", untagged_first), ("collect", not untagged_first)]:
            note(str(step))
            do(twins, step)
        collections.append(twins.collections)
        aborted.append(twins.aborted)

    program()
    assert len(collections) >= settings_of_programs.max_examples
    print(f"{len(collections)} programs, {sum(collections)} collections, {sum(aborted)} of them failed on both")  # noqa: T201
