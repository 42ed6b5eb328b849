"""`releases`: products with numbered versions, of which old ones get patches and then go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters, timing
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import Removal
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, table_of

LINE_LAYERS: Final = Distribution((0, 1), (2, 6), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 4), "linear")
"""Layers that all patches of a minor version share, and those that each brings; choices."""


def releases(
    *,
    products: int = 8,
    minors: int = 12,
    patches: int = 6,
    minor_every: str | timedelta = "42d",
    patch_every: str | timedelta = "14d",
    tag_lifetime: str | timedelta | None = "365d",
    removal: Removal = "untag",
    line_layers: Distribution = LINE_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate numbered releases with floating tags.

    Version 1.4.2 is pushed with the tag ``1.4.2``; ``1.4`` moves to it, and ``1`` and ``latest`` too while there is no
    higher minor version. Patches of a minor version share layers with each other.

    Parameters
    ----------
    products : repositories.
    minors, patches : minor versions of each, and patches of each of these after its ``.0``.
    minor_every, patch_every : between them, up to a tenth sooner or later.
    tag_lifetime : after which a version's own tag goes, unless it is the last of its minor version; None: none goes.
    removal : its tag is removed, or its manifest deleted.
    line_layers, own_layers : how many layers the patches of a minor version share, and how many each brings.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; a release with its tags is one batch.

    Raises
    ------
    InvalidValue : a parameter is out of its range.

    Examples
    --------
    >>> stream = releases(products=1, minors=2, patches=1)
    >>> [stream.tags[code] for code in stream.tag[stream.op == TraceOp.PUSH]]
    ['1.0.0', '1.0.1', '1.1.0', '1.1.1']
    """
    stream = Stream(parameters.seed_of(seed), "releases")
    rng, begin = stream.rng, parameters.moment("start", start)
    product_count, minor_count = parameters.count("products", products), parameters.count("minors", minors)
    width = parameters.count("patches", patches, least=0) + 1
    minor_gap, patch_gap = parameters.span("minor_every", minor_every), parameters.span("patch_every", patch_every)
    lifetime = parameters.duration("tag_lifetime", tag_lifetime)
    gone = parameters.removal_of(removal)
    lines = product_count * minor_count
    count = parameters.count("products * minors * (patches + 1)", lines * width)

    line = np.repeat(np.arange(lines), width)
    product, minor, patch = line // minor_count, line % minor_count, np.arange(count) % width
    opened = np.cumsum(minor_gap * rng.uniform(0.9, 1.1, (product_count, minor_count)), axis=1) - minor_gap
    waits = patch_gap * rng.uniform(0.9, 1.1, (lines, width))
    waits[:, 0] = 0
    since = np.maximum(opened, 0).astype(np.int64).ravel()[line]
    time = begin + since + np.cumsum(waits, axis=1).astype(np.int64).ravel()

    sizes = parameters.distribution("layer_size", layer_size, 1)
    parts = [
        stream.layer_sets(parameters.distribution("line_layers", line_layers), sizes, line, lines),
        stream.layer_sets(parameters.distribution("own_layers", own_layers), sizes, np.arange(count), count),
    ]
    indptr, target = table_of(parts, count)
    images = stream.images(indptr, target, config_size=parameters.distribution("config_size", config_size, 1))

    stream.repositories = [f"products/product-{row:03}" for row in range(product_count)]
    stream.tags = [
        *(f"1.{row}.{step}" for row in range(minor_count) for step in range(width)),
        *(f"1.{row}" for row in range(minor_count)),
        "1",
        "latest",
    ]
    own_tag = minor * width + patch
    group = stream.add(TraceOp.PUSH, time, repository=product, tag=own_tag, manifest=images)
    floating = minor_count * width + minor
    stream.add(TraceOp.TAG, time, repository=product, tag=floating, manifest=images, group=group)
    # The highest version so far: no higher minor version has come before.
    order = np.lexsort((line, time, product))
    highest = np.maximum.accumulate((product * minor_count + minor)[order])
    newest = np.sort(order[highest == (product * minor_count + minor)[order]])
    for tag in (minor_count * (width + 1), minor_count * (width + 1) + 1):
        stream.add(
            TraceOp.TAG, time[newest], repository=product[newest], tag=tag, manifest=images[newest], group=group[newest]
        )
    rows, when = timing.gone_at(time, timing.next_of(line, time), lifetime, int(time.max()) + 1)
    stream.remove(gone, when, repository=product[rows], tag=own_tag[rows], manifest=images[rows])
    return stream.finish()
