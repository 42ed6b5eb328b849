"""Random programs on the real registry and on ours: after every collection both have the same bytes.

A program pushes, whole or in requests, leaves uploads unfinished, deletes, and collects as often as it likes, with
steps in between. The server runs on all the time, without a cache; what a cache hides after a collection is the
subject of `test_distribution_cache.py`.

`QUOTASIM_PROGRAMS=5000` draws so many programs, and others in every run; a failure prints the program. Each quirk has a
test of its own as well, in `test_distribution_quirks.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

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
FOREIGN = r"^https://layers\.example\.com/"
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
parts = st.sampled_from([*LAYERS, *CONFIGS, *WIDE, *(Payload(document.content) for document in WORLD[:3])])
sizes = st.sampled_from((0, 1, 20, 100))
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
    st.tuples(st.just("push in steps"), repositories, documents, tags),
    st.tuples(st.just("put"), repositories, st.sampled_from(WORLD[:4]), tags),
    st.tuples(st.just("upload"), repositories, st.sampled_from([*LAYERS, *CONFIGS, *WIDE])),
    st.tuples(st.just("upload a manifest"), repositories, st.sampled_from(WORLD)),
    st.tuples(st.just("start"), repositories, parts),
    st.tuples(st.just("append"), numbers, sizes),
    st.tuples(st.just("append"), numbers, sizes),
    st.tuples(st.just("finish"), numbers, st.booleans()),
    st.tuples(st.just("cancel"), numbers),
    st.tuples(st.just("mount"), numbers, repositories, st.none() | parts),
    st.tuples(st.just("delete blob"), numbers),
    st.tuples(st.just("tag"), numbers, st.sampled_from(TAGS)),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("collect"), st.booleans()),
)
# Rounds of steps, each with a collection at its end.
collections = st.tuples(st.just("collect"), st.sampled_from((False, False, True)))
rounds = st.builds(lambda listed, last: [*listed, last], st.lists(steps, min_size=1, max_size=10), collections)
programs = st.tuples(st.lists(rounds, min_size=1, max_size=4), st.booleans())


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


def push_in_steps(twins: Twins, repository: str, document: Document, tag: str | None) -> None:
    """Push a document request by request: each blob in two pieces, then the manifest."""
    for part in document.payloads:
        upload = twins.start(repository, part)
        twins.append(upload, part.size // 2)
        twins.finish(upload)
    for child in document.children:
        push_in_steps(twins, repository, child, None)
    twins.put(repository, document, tag)


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
    elif kind == "push in steps":
        push_in_steps(twins, *arguments)
    elif kind == "put":
        twins.put(*arguments)
    elif kind == "start":
        twins.start(*arguments)
    elif kind in ("append", "finish", "cancel"):
        # Two of those that have ended are enough: what is asked of them is refused.
        ended = [upload for upload in twins.uploads if not upload.is_open]
        if asked := [*(upload for upload in twins.uploads if upload.is_open), *ended[-2:]]:
            which, *rest = arguments
            upload = pick(asked, which)
            if kind == "finish":
                twins.finish(upload, wrongly=rest[0])
            else:
                (twins.append if kind == "append" else twins.cancel)(upload, *rest)
    elif kind == "mount":
        which, target, otherwise = arguments
        source, digest = pick(blobs_named(twins), which)
        twins.mount(digest, source, target, otherwise)
    elif kind == "delete blob":
        twins.delete_blob(*pick(blobs_named(twins), *arguments))
    elif kind == "collect":
        twins.collect(delete_untagged=arguments[0])
    elif links := twins.links():
        which, *rest = arguments
        act = twins.tag if kind == "tag" else twins.delete
        act(*pick(links, which), *rest)


@contextmanager
def registry(cache: str | None) -> Iterator[RealRegistry]:
    with scratch() as folder, RealRegistry(folder, cache=cache, foreign_urls=(FOREIGN,)) as running:
        yield running


def run(server: RealRegistry, most: int) -> Counter[str]:
    """Run so many programs, and return what there was in them."""
    done: Counter[str] = Counter()

    @settings(settings_of_programs, max_examples=most)
    @given(programs)
    def program(drawn):
        drawn_rounds, untagged_first = drawn
        listed = [step for one in drawn_rounds for step in one]
        server.reset()
        twins = Twins(server, WIDE)
        for step in [*listed, ("collect", untagged_first), ("collect", not untagged_first)]:
            done["steps"] += 1
            note(str(step))
            do(twins, step)
        done["programs"] += 1
        done["collections"] += twins.collections
        done["of them failed on both"] += twins.aborted
        done["uploads"] += len(twins.uploads)
        done["of them not finished"] += len(twins.ours.uploads())
        done["of them stuck"] += sum(upload.is_stuck for upload in twins.uploads)

    program()
    assert done["programs"] >= most
    assert all(done.values()), done
    print(", ".join(f"{count:,} {what}" for what, count in done.items()))  # noqa: T201
    return done


def test_after_every_collection_both_have_the_same_bytes():
    with registry(cache=None) as server:
        run(server, PROGRAMS or 200)


def test_with_a_cache_and_a_restart_after_every_collection_too():
    with registry(cache="inmemory") as server:
        run(server, PROGRAMS // 10 or 20)
