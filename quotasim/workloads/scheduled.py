"""`nightly`: builds on a schedule, of which the last few are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, HOUR, MINUTE, SECOND, Removal
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, table_of

BASE_LAYERS: Final = Distribution((0, 1), (2, 5), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 5), "linear")
"""Layers that stay from night to night, and those that are new every night; choices."""


def nightly(
    *,
    repositories: int = 12,
    days: int = 120,
    hour: int = 2,
    jitter: int = 40,
    keep: int | None = 14,
    removal: Removal = "delete",
    base_layers: Distribution = BASE_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate a build of every repository each night, with its date as a tag and the floating tag ``nightly``.

    Parameters
    ----------
    repositories, days : how many.
    hour : of the day, UTC, at which builds are begun.
    jitter : minutes by which each may be later.
    keep : the last nights that are kept; None: all.
    removal : how older ones go: manifest, or tag.
    base_layers, own_layers : how many layers a repository always has, and how many each night brings.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; a build with its tags is one batch, and what it replaces goes a minute later.

    Raises
    ------
    InvalidValue : a parameter is out of its range.

    Examples
    --------
    >>> stream = nightly(repositories=1, days=20, keep=7)
    >>> int((stream.op == TraceOp.DELETE).sum()), stream.tags[:2]
    (13, ('2026-01-01', '2026-01-02'))
    """
    stream = Stream(parameters.seed_of(seed), "nightly")
    rng = stream.rng
    width, nights = parameters.count("repositories", repositories), parameters.count("days", days, most=100_000)
    count = parameters.count("repositories * days", width * nights)
    begin = parameters.moment("start", start) // DAY * DAY + parameters.count("hour", hour, 0, 23) * HOUR
    late = parameters.count("jitter", jitter, 0, 600)
    kept = nights if keep is None else parameters.count("keep", keep)
    gone = parameters.removal_of(removal)

    night, repository = np.divmod(np.arange(count), width)
    time = begin + night * DAY + rng.integers(0, late * MINUTE // SECOND + 1, count) * SECOND
    sizes = parameters.distribution("layer_size", layer_size, 1)
    parts = [
        stream.layer_sets(parameters.distribution("base_layers", base_layers), sizes, repository, width),
        stream.layer_sets(parameters.distribution("own_layers", own_layers), sizes, np.arange(count), count),
    ]
    indptr, target = table_of(parts, count)
    images = stream.images(indptr, target, config_size=parameters.distribution("config_size", config_size, 1))

    stream.repositories = [f"nightly/job-{row:03}" for row in range(width)]
    dates = (begin // DAY + np.arange(nights)).astype("datetime64[D]")
    stream.tags = [*np.datetime_as_string(dates).tolist(), "nightly"]
    group = stream.add(TraceOp.PUSH, time, repository=repository, tag=night, manifest=images)
    stream.add(TraceOp.TAG, time, repository=repository, tag=nights, manifest=images, group=group)
    old = np.arange(max(count - kept * width, 0))
    stream.remove(
        gone, time[old + kept * width] + MINUTE, repository=repository[old], tag=night[old], manifest=images[old]
    )
    return stream.finish()
