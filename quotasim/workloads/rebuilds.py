"""`base_rebuild`: a new base image, and everything on it is built again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, MINUTE, SECOND, Removal
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, table_of

BASE_EVERY: Final = Distribution((0, 0.5, 1), (7, 28, 60), "log")
"""Days between updates of a base image: Debian's and Alpine's are rebuilt about every month. A choice."""

BASE_LAYERS: Final = Distribution((0, 1), (1, 3), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 6), "linear")
"""Layers of a base image, and those on top of it; choices."""


def base_rebuild(
    *,
    bases: int = 3,
    images: int = 40,
    updates: int = 8,
    base_every: Distribution = BASE_EVERY,
    burst: str | timedelta = "4h",
    removal: Removal = "delete",
    remove_after: str | timedelta | None = "1d",
    base_layers: Distribution = BASE_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate updates of base images, after each of which every image on the base is built and pushed again.

    Building again gives other bytes: of the new image no layer is an old one's. Nothing else is ever built.

    Parameters
    ----------
    bases : base images, repositories of their own.
    images : repositories on them, in turns.
    updates : of each base after its first push.
    base_every : days between updates.
    burst : how long it takes until all images on a base are pushed again. The next update comes after that.
    removal, remove_after : how and how long after the push the image before it goes: its manifest, or the tag that it
        was kept under; None: all stay.
    base_layers, own_layers : layers of a base, and those on top.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; every build has its number as a tag, and ``latest`` moves to it.

    Raises
    ------
    InvalidValue : a parameter is out of its range.

    Examples
    --------
    >>> stream = base_rebuild(bases=1, images=5, updates=2)
    >>> int((stream.op == TraceOp.PUSH).sum())
    18
    """
    stream = Stream(parameters.seed_of(seed), "base_rebuild")
    rng, begin = stream.rng, parameters.moment("start", start)
    base_count, image_count = parameters.count("bases", bases), parameters.count("images", images)
    versions = parameters.count("updates", updates, least=0) + 1
    length = parameters.span("burst", burst)
    wait, gone = parameters.duration("remove_after", remove_after), parameters.removal_of(removal)
    every = parameters.distribution("base_every", base_every)
    rows = base_count + image_count
    count = parameters.count("(bases + images) * updates", rows * versions)

    # Row by row and version by version; the first rows are the bases.
    row, version = (grid.ravel() for grid in np.indices((rows, versions)))
    base = np.where(row < base_count, row, (row - base_count) % base_count)
    gaps = (every.spread(rng, base_count * versions) * DAY).astype(np.int64).reshape(base_count, versions)
    gaps = np.maximum(gaps, length + MINUTE)
    gaps[:, 0] = 0
    updated = begin + np.cumsum(gaps, axis=1)
    delay = rng.integers(1, max(length // SECOND, 1) + 1, count) * SECOND
    time = updated[base, version] + np.where(row < base_count, 0, np.minimum(delay, length))

    sizes = parameters.distribution("layer_size", layer_size, 1)
    own_count = image_count * versions
    of_base = stream.layer_sets(
        parameters.distribution("base_layers", base_layers, 1), sizes, base * versions + version, base_count * versions
    )
    image, own = stream.layer_sets(
        parameters.distribution("own_layers", own_layers, 1), sizes, np.arange(own_count), own_count
    )
    indptr, target = table_of([of_base, (image + base_count * versions, own)], count)
    manifests = stream.images(indptr, target, config_size=parameters.distribution("config_size", config_size, 1))

    stream.repositories = [
        *(f"bases/base-{number:02}" for number in range(base_count)),
        *(f"apps/app-{number:04}" for number in range(image_count)),
    ]
    stream.tags = [*(f"build-{number + 1}" for number in range(versions)), "latest"]
    group = stream.add(TraceOp.PUSH, time, repository=row, tag=version, manifest=manifests)
    stream.add(TraceOp.TAG, time, repository=row, tag=versions, manifest=manifests, group=group)
    if wait is not None:
        old = np.flatnonzero(version + 1 < versions)
        stream.remove(gone, time[old + 1] + wait, repository=row[old], tag=version[old], manifest=manifests[old])
    return stream.finish()
