"""`ci`: services that are built on every commit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters, timing
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, Hours, Removal
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, table_of

BASE_LAYERS: Final = Distribution((0, 1), (1, 5), "linear")
DEPENDENCY_LAYERS: Final = Distribution((0, 1), (1, 4), "linear")
OWN_LAYERS: Final = Distribution((0, 0.5, 1), (1, 2, 5), "linear")
"""How many of each an image has; choices, within what official images have (a median of 9 layers)."""


def ci(
    *,
    services: int = 20,
    branches: int = 4,
    builds: float = 3.0,
    days: int = 60,
    hours: Hours | None = None,
    bases: int = 3,
    dependency_change: float = 0.1,
    floating_tags: bool = True,
    tag_lifetime: str | timedelta | None = "14d",
    removal: Removal = "delete",
    base_layers: Distribution = BASE_LAYERS,
    dependency_layers: Distribution = DEPENDENCY_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-05",
    seed: int = 0,
) -> TraceTable:
    """Generate what a build server pushes: an image for each commit, on layers that builds have in common.

    An image has the layers of its base, which services share; those of its service's dependencies, which change now
    and then; and its own.

    Parameters
    ----------
    services, branches : repositories, and branches of each that are built.
    builds : of each branch on a working day, on average.
    days : that the stream covers.
    hours : when builds begin; by default 8 to 18 h UTC, Monday to Friday.
    bases : base images; services are on them in turns.
    dependency_change : part of the builds that bring new dependency layers.
    floating_tags : each build also moves a tag of its branch, ``branch-3``, beside the one of its own,
        ``branch-3-117``.
    tag_lifetime : after which an image goes, unless it is its branch's latest; None: none goes.
    removal : how it goes: its manifest is deleted, or its own tag removed.
    base_layers, dependency_layers, own_layers : how many layers of each kind.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; a build is one batch.

    Raises
    ------
    InvalidValue : a parameter is out of its range, or there is no build.

    Notes
    -----
    O(layers of all images + builds * log of them).

    Examples
    --------
    >>> stream = ci(services=2, branches=1, days=7, seed=4)
    >>> len(stream.repositories), int((stream.op == TraceOp.PUSH).sum())
    (2, 30)
    """
    stream = Stream(parameters.seed_of(seed), "ci")
    rng = stream.rng
    service_count, branch_count = parameters.count("services", services), parameters.count("branches", branches)
    day_count, base_count = parameters.count("days", days, most=100_000), parameters.count("bases", bases)
    open_hours = Hours() if hours is None else hours
    begin, lifetime = parameters.moment("start", start), parameters.duration("tag_lifetime", tag_lifetime)
    changes = parameters.share("dependency_change", dependency_change)
    gone = parameters.removal_of(removal)

    working = timing.working_days(begin, day_count, open_hours)
    wanted = parameters.positive("builds", builds) * working * service_count * branch_count
    time = np.sort(timing.working_times(rng, begin, day_count, parameters.count("builds", round(wanted)), open_hours))
    build_count = parameters.count("builds", time.size)
    service = rng.integers(0, service_count, build_count)
    branch = rng.integers(0, branch_count, build_count)

    # Dependencies: a build takes those of its service's last change.
    by_service = np.argsort(service, kind="stable")
    first = np.diff(service[by_service], prepend=-1) != 0
    version = np.empty(build_count, np.int64)
    version[by_service] = np.cumsum(first | (rng.random(build_count) < changes)) - 1
    sizes = parameters.distribution("layer_size", layer_size, 1)
    sets = (
        ("base_layers", base_layers, service % base_count, base_count),
        ("dependency_layers", dependency_layers, version, int(version.max()) + 1),
        ("own_layers", own_layers, np.arange(build_count), build_count),
    )
    parts = [
        stream.layer_sets(parameters.distribution(name, how_many), sizes, image_set, count)
        for name, how_many, image_set, count in sets
    ]
    indptr, target = table_of(parts, build_count)
    images = stream.images(indptr, target, config_size=parameters.distribution("config_size", config_size, 1))

    # Tags: branch by branch, its floating one before those of its builds.
    line = service * branch_count + branch
    number = timing.number_in(line)
    deep = int(number.max()) + 1
    stream.repositories = [f"services/service-{row:04}" for row in range(service_count)]
    stream.tags = [
        name
        for row in range(branch_count)
        for name in (f"branch-{row}", *(f"branch-{row}-{build + 1}" for build in range(deep)))
    ]
    own_tag = branch * (deep + 1) + 1 + number
    group = stream.add(TraceOp.PUSH, time, repository=service, tag=own_tag, manifest=images)
    if floating_tags:
        stream.add(TraceOp.TAG, time, repository=service, tag=branch * (deep + 1), manifest=images, group=group)
    rows_gone, when = timing.gone_at(time, timing.next_of(line, time), lifetime, begin + day_count * DAY)
    stream.remove(gone, when, repository=service[rows_gone], tag=own_tag[rows_gone], manifest=images[rows_gone])
    return stream.finish()
