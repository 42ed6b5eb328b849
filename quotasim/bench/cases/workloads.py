"""Generating operation streams: what `quotasim.workloads` takes for a registry of pushes; and replays of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from quotasim import workloads
from quotasim.bench.case import SIZES, Case, Contender, Prepared
from quotasim.importers.trace_table import TraceTable
from quotasim.registry import Registry, replay

STREAMS: dict[str, Callable[[float], TraceTable]] = {
    "hub_like": lambda share: workloads.hub_like(manifests=max(round(1_080_000 * share), 1), repositories=5_000),
    "ci": lambda share: workloads.ci(services=max(round(3_900 * share), 1), branches=5, builds=2.0, days=48),
}
"""Each draws about ten million references for a share of 1."""


@lru_cache(maxsize=1)
def stream_of(name: str, references: int) -> TraceTable:
    """One stream of about so many references; the last one is kept."""
    return STREAMS[name](references / SIZES["M"])


def generate(references: int, *, name: str) -> Prepared:
    """Draw a stream."""
    STREAMS[name](0.001)  # compiles, or loads, the kernels
    expected = stream_of(name, references)

    def right(stream: TraceTable) -> bool:
        # Every digest is drawn once, whatever the number of them.
        distinct = np.unique(stream.blobs.digest.words256[:, 0]).size == len(stream.blobs.digest)
        same = np.array_equal(stream.manifests.target, expected.manifests.target)
        return distinct and same and np.array_equal(stream.time, expected.time)

    ours = Contender(
        name="quotasim",
        role="ours",
        run=STREAMS[name],
        setup=lambda: (references / SIZES["M"],),
        check=right,
        rounds=3,
    )
    figures = {"operations": expected.op.size, "blobs": len(expected.blobs.digest)}
    return Prepared(items=expected.manifests.target.size, figures=figures, contenders=(ours,))


def replayed(references: int, *, name: str) -> Prepared:
    """Replay a stream from its digests and names on: what `quotasim.replay` does."""
    stream = stream_of(name, references)
    replay(STREAMS[name](0.001), profile="acr-premium")

    def right(registry: Registry) -> bool:
        return registry.engine.figures() == registry.recompute() and registry.engine.figures()["links"] > 0

    ours = Contender(
        name="quotasim",
        role="ours",
        run=lambda: replay(stream, profile="acr-premium"),
        setup=lambda: (),
        check=right,
        rounds=3,
    )
    return Prepared(items=stream.manifests.target.size, figures={"operations": stream.op.size}, contenders=(ours,))


CASES = tuple(
    Case(
        name=f"{what}-{name.replace('_', '-')}",
        suite="workloads",
        title=title.format(name),
        unit="references",
        prepare=partial(prepare, name=name),
    )
    for what, title, prepare in (
        ("generate", "generate `{}`", generate),
        ("replay", "intern and replay `{}` as acr-premium", replayed),
    )
    for name in STREAMS
)
