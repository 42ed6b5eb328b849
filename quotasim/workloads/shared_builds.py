"""`monorepo`: one commit, and every service of the repository gets its tag."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters, timing
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, Hours
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, table_of

COMMON_LAYERS: Final = Distribution((0, 1), (3, 5), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 3), "linear")
"""Layers that all services share, and those that each has; choices."""


def monorepo(
    *,
    services: int = 30,
    commits: float = 6.0,
    days: int = 60,
    touched: float = 0.1,
    common_change: float = 0.02,
    hours: Hours | None = None,
    tag_lifetime: str | timedelta | None = "30d",
    common_layers: Distribution = COMMON_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-05",
    seed: int = 0,
) -> TraceTable:
    """Generate the commits of one source repository with many services: all of them get the commit's tag.

    A service that the commit does not touch comes out as the same image, which gets one more tag. All share layers; a
    commit that changes these touches every service.

    Parameters
    ----------
    services : repositories of the registry.
    commits : a working day, on average.
    days : that the stream covers.
    touched : part of the services that a commit touches, on average.
    common_change : part of the commits that change the common layers.
    hours : when commits are made; by default 8 to 18 h UTC, Monday to Friday.
    tag_lifetime : after which a commit's tags go; an image with other tags stays. None: none goes.
    common_layers, own_layers : how many layers.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; a commit is one batch.

    Raises
    ------
    InvalidValue : a parameter is out of its range, or there is no commit.

    Examples
    --------
    >>> stream = monorepo(services=4, commits=1, days=7, touched=0)
    >>> int((stream.op == TraceOp.PUSH).sum()), int((stream.op == TraceOp.TAG).sum())
    (4, 16)
    """
    stream = Stream(parameters.seed_of(seed), "monorepo")
    rng, begin = stream.rng, parameters.moment("start", start)
    width, day_count = parameters.count("services", services), parameters.count("days", days, most=100_000)
    open_hours = Hours() if hours is None else hours
    lifetime = parameters.duration("tag_lifetime", tag_lifetime)
    part, common = parameters.share("touched", touched), parameters.share("common_change", common_change)
    working = timing.working_days(begin, day_count, open_hours)
    wanted = parameters.count("commits", round(parameters.positive("commits", commits) * working))
    moment = np.sort(timing.working_times(rng, begin, day_count, wanted, open_hours))
    count = parameters.count("commits", moment.size)
    parameters.count("services * commits", count * width)

    # built[commit, service]: the service comes out as a new image.
    anew = rng.random(count) < common
    anew[0] = True
    built = (rng.random((count, width)) < part) | anew[:, None]
    commit, service = np.nonzero(built)
    latest = np.maximum.accumulate(np.where(built, np.arange(count)[:, None], -1), axis=0)
    row_of = np.full((count, width), -1, np.int64)
    row_of[commit, service] = np.arange(commit.size)

    sizes = parameters.distribution("layer_size", layer_size, 1)
    version = (np.cumsum(anew) - 1)[commit]
    each = np.arange(commit.size)
    parts = [
        stream.layer_sets(
            parameters.distribution("common_layers", common_layers), sizes, version, int(version[-1]) + 1
        ),
        stream.layer_sets(parameters.distribution("own_layers", own_layers), sizes, each, each.size),
    ]
    indptr, target = table_of(parts, each.size)
    images = stream.images(indptr, target, config_size=parameters.distribution("config_size", config_size, 1))

    stream.repositories = [f"monorepo/service-{row:03}" for row in range(width)]
    stream.tags = [f"commit-{row + 1:05}" for row in range(count)]
    all_commits, all_services = (grid.ravel() for grid in np.indices((count, width)))
    manifest = images[row_of[latest[all_commits, all_services], all_services]]
    pushes = built.ravel()
    for op, rows in ((TraceOp.PUSH, np.flatnonzero(pushes)), (TraceOp.TAG, np.flatnonzero(~pushes))):
        stream.add(
            op,
            moment[all_commits[rows]],
            repository=all_services[rows],
            tag=all_commits[rows],
            manifest=manifest[rows],
            group=all_commits[rows],
        )
    if lifetime is not None:
        rows = np.flatnonzero(moment[all_commits] + lifetime < begin + day_count * DAY)
        stream.add(
            TraceOp.UNTAG,
            moment[all_commits[rows]] + lifetime,
            repository=all_services[rows],
            tag=all_commits[rows],
            manifest=manifest[rows],
            group=count + all_commits[rows],
        )
    return stream.finish()
