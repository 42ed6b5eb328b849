"""Short lives of a registry, drawn by Hypothesis: the same program does the same on any equal registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import numpy as np
from hypothesis import strategies as st

import quotasim as qs
from quotasim import lookup
from quotasim.errors import Locked, QuotaSimError, UnknownReference, UnknownRepository

from .strategies import CONFIGS, DAY, LAYERS, MINUTE, REPOSITORIES, TAGS, WORLD

WIDE = qs.Blob("sha512:" + "5a" * 64, 700)
THINGS = [thing.engine for thing in WORLD] + [qs.Image([LAYERS[0], WIDE], CONFIGS[1])]
REFERRED = qs.Image([LAYERS[1]], CONFIGS[2])
SIGNATURE = qs.Image([LAYERS[3]], CONFIGS[2], subject=REFERRED)
DELAYS = (0, 1, MINUTE, 3 * MINUTE, 5 * MINUTE, 20 * MINUTE, 61 * MINUTE, DAY, 15 * DAY)

Step = tuple[str, int, int]


def references(registry: qs.Registry) -> list[str]:
    """Return every tag and every linked manifest of a registry that can be read, as references."""
    names, state, engine = registry.engine.names, registry.engine.state, registry.engine
    found = []
    for tag, link in enumerate(state.read("tag_link").tolist()):
        if link >= 0 and lookup.is_readable(engine, link):
            repository = names.repositories.values[names.tag_repository[tag]]
            found.append(f"{repository}:{names.tag_label(tag)}")
    for link, linked in enumerate(state.read("linked").tolist()):
        if linked and lookup.is_readable(engine, link):
            found.append(lookup.link_label(registry.engine, link))
    return sorted(found)


def blobs(registry: qs.Registry) -> list[tuple[str, str]]:
    """Return every (repository, digest) of a layer that some repository may have."""
    # Not the names that the catalogue has: those are its branches' too.
    names = set(registry.events()["repository"].dropna())
    return sorted((name, layer.digest) for name in names for layer in [*LAYERS, WIDE])


def _there(act: Callable[[qs.Registry, str, int], object]) -> Callable[[qs.Registry, int, int], object]:
    """Return a step that acts on something that is there, and does nothing where nothing is."""

    def step(registry: qs.Registry, one: int, other: int) -> object:
        there = references(registry)
        return act(registry, there[one % len(there)], other) if there else None

    return step


def _push(registry: qs.Registry, one: int, other: int) -> object:
    repository, tag = REPOSITORIES[one % len(REPOSITORIES)], [*TAGS, None][other % (len(TAGS) + 1)]
    thing = THINGS[other % len(THINGS)]
    return registry.push(f"{repository}@{thing.digest}" if tag is None else f"{repository}:{tag}", thing)


def _upload(registry: qs.Registry, one: int, other: int) -> object:
    layers = [*LAYERS, WIDE]
    return registry.upload(REPOSITORIES[one % len(REPOSITORIES)], layers[other % len(layers)])


def _mount(registry: qs.Registry, one: int, other: int) -> object:
    there = blobs(registry)
    if not there:
        return None
    source, digest = there[one % len(there)]
    return registry.mount(digest, source, REPOSITORIES[other % len(REPOSITORIES)])


def _delete_blob(registry: qs.Registry, one: int, other: int) -> object:
    there = blobs(registry)
    return registry.delete_blob(*there[one % len(there)]) if there else None


def _begin(registry: qs.Registry, one: int, other: int) -> object:
    return registry.start_upload(REPOSITORIES[one % len(REPOSITORIES)])


def _unfinished(act: Callable[[qs.Registry, int, int], object]) -> Callable[[qs.Registry, int, int], object]:
    """Return a step that acts on an unfinished upload, and does nothing where there is none."""

    def step(registry: qs.Registry, one: int, other: int) -> object:
        there = registry.uploads()
        return act(registry, there[one % len(there)].upload, other) if there else None

    return step


def _put_manifest(registry: qs.Registry, one: int, other: int) -> object:
    repository, thing = REPOSITORIES[one % len(REPOSITORIES)], THINGS[other % len(THINGS)]
    return registry.put_manifest(f"{repository}:{TAGS[other % len(TAGS)]}", thing)


def _restore(registry: qs.Registry, one: int, other: int) -> object:
    engine = registry.engine
    hidden = np.flatnonzero(engine.state.read("deleted")).tolist()
    there = sorted(lookup.link_label(engine, link) for link in hidden)
    there += [f"{repository}:{tag}" for repository in REPOSITORIES for tag in TAGS]
    return registry.restore(there[one % len(there)], force=other % 2 == 0)


def _miscount(registry: qs.Registry, one: int, other: int) -> object:
    registry.miscount(REPOSITORIES[one % len(REPOSITORIES)], other)
    return registry.recount() if other % 3 == 0 else None


def _delete_untagged(registry: qs.Registry, one: int, other: int) -> object:
    return registry.delete(f"{REPOSITORIES[one % len(REPOSITORIES)]}@untagged")


def _lock(registry: qs.Registry, reference: str, other: int) -> object:
    target = reference if other % 3 else f"{reference.partition('@')[0].partition(':')[0]}/"
    registry.lock(target, write=other % 2 == 0, delete=other % 4 < 2)
    return None


def _collect(registry: qs.Registry, one: int, other: int) -> object:
    return registry.apply(registry.plan_gc())


def _collect_read_only(registry: qs.Registry, one: int, other: int) -> object:
    run = registry.start_gc(read_only=True)
    refused = _push(registry, one, other)
    run.finish() if other % 2 else run.abort()
    return refused


STEPS: dict[str, Callable[[qs.Registry, int, int], object]] = {
    "push": _push,
    "push again": _push,
    "upload": _upload,
    "mount": _mount,
    "delete blob": _delete_blob,
    "begin upload": _begin,
    "begin another": _begin,
    "append": _unfinished(lambda registry, upload, other: registry.append(upload, other)),
    "reserve": _unfinished(lambda registry, upload, other: registry.reserve_upload(upload, LAYERS[0])),
    "finish": _unfinished(lambda registry, upload, other: registry.finish_upload(upload, LAYERS[0])),
    "cancel": _unfinished(lambda registry, upload, other: registry.cancel_upload(upload)),
    "purge": lambda registry, one, other: registry.purge_uploads(f"{one}s"),
    "put manifest": _put_manifest,
    "copy": _there(
        lambda registry, reference, other: registry.copy(
            reference, f"{REPOSITORIES[other % len(REPOSITORIES)]}:{TAGS[other % len(TAGS)]}"
        )
    ),
    "restore": _restore,
    "miscount": _miscount,
    "backfill": lambda registry, one, other: registry.start_backfill(),
    "tag": _there(lambda registry, reference, other: registry.tag(reference, TAGS[other % len(TAGS)])),
    "untag": _there(lambda registry, reference, other: registry.untag(reference)),
    "delete untagged": lambda registry, one, other: registry.delete(
        f"{REPOSITORIES[one % len(REPOSITORIES)]}@untagged"
    ),
    "delete": _there(lambda registry, reference, other: registry.delete(reference)),
    "lock": _there(_lock),
    "pull": _there(lambda registry, reference, other: registry.pull(reference)),
    "advance": lambda registry, one, other: registry.advance(timedelta(microseconds=DELAYS[one % len(DELAYS)])),
    "collect": _collect,
    "collect read only": _collect_read_only,
}

numbers = st.integers(0, 999)
programs = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), numbers, numbers), max_size=25)


def run(registry: qs.Registry, program: Iterable[Step]) -> list[object]:
    """Run a program; returns what each step said, a refused call by its kind."""
    said: list[object] = []
    for name, one, other in program:
        try:
            said.append(STEPS[name](registry, one, other))
        except (Locked, UnknownReference, UnknownRepository, qs.QuotaSimError) as error:
            said.append(type(error).__name__)
    return said


def every_kind(registry: qs.Registry) -> None:
    """Let a registry hold every kind of thing: indexes, repeats, referrers, sha512, locks, pulls, and what waits."""
    for place, thing in enumerate(THINGS):
        registry.push(f"{REPOSITORIES[place % 4]}:{TAGS[place % 3]}", thing)
        registry.advance("40s")
    registry.push(f"app@{THINGS[0].digest}", THINGS[0])
    registry.upload("web", WIDE)
    registry.upload("team/app", LAYERS[2])
    for size in (70, 20):
        begun = registry.start_upload("team/app")
        if begun.upload is not None and registry.append(begun.upload, size).upload is not None:
            registry.reserve_upload(begun.upload, LAYERS[1])
    for thing in (REFERRED, SIGNATURE):  # and where a kind refuses it, the subject is not deleted
        registry.push(f"team/signed@{thing.digest}", thing)
    registry.delete("team/signed@untagged")
    if registry.profile.backfill is not None:
        registry.start_backfill()
    there = references(registry)
    registry.pull(there[0])
    registry.lock(there[-1], write=False)
    registry.lock("team/web/", write=False, delete=True)
    for reference in there[1:4]:
        try:
            registry.delete(reference)
        except QuotaSimError:
            registry.advance("1s")
