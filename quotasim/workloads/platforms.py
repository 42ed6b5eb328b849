"""`multi_arch`: image indexes over an image for each platform."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.errors import InvalidValue
from quotasim.importers.name_columns import plain_text
from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters, timing
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, SECOND
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, rows_of, table_of

PLATFORMS: Final = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/ppc64le", "linux/s390x")

BASE_LAYERS: Final = Distribution((0, 1), (1, 4), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 4), "linear")
"""Layers that a platform's images of one repository share, and those of each; choices."""


def multi_arch(
    *,
    repositories: int = 10,
    releases: int = 20,
    platforms: Sequence[str] = PLATFORMS,
    release_every: str | timedelta = "7d",
    tag_lifetime: str | timedelta | None = "60d",
    base_layers: Distribution = BASE_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate releases for several platforms: an image for each, pushed by digest, and an index over them with a tag.

    Parameters
    ----------
    repositories, releases : how many, and how many of each.
    platforms : of every release.
    release_every : between releases, up to a tenth sooner or later.
    tag_lifetime : after which a release's index is deleted, then its images, unless it is the last; None: none is. Some
        kinds refuse to delete the images while the index is there: it goes a second before them.
    base_layers, own_layers : layers that the images of one platform share within a repository, and those of each.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; the images of a release and its index are one batch.

    Raises
    ------
    InvalidValue : a parameter is out of its range, or a platform occurs twice.

    Examples
    --------
    >>> stream = multi_arch(repositories=1, releases=2, platforms=["linux/amd64", "linux/arm64"])
    >>> stream.manifests.kind.tolist()
    [0, 0, 0, 0, 1, 1]
    """
    stream = Stream(parameters.seed_of(seed), "multi_arch")
    rng, begin = stream.rng, parameters.moment("start", start)
    width, depth = parameters.count("repositories", repositories), parameters.count("releases", releases)
    names = tuple(platforms)
    if not names or len(set(names)) != len(names) or any(plain_text(name) for name in names):
        raise InvalidValue("platforms", platforms, "names of platforms, each once")
    gap = parameters.span("release_every", release_every)
    lifetime = parameters.duration("tag_lifetime", tag_lifetime)
    count = width * depth
    images = parameters.count("repositories * releases * platforms", count * len(names))

    release, platform = (grid.ravel() for grid in np.indices((count, len(names))))
    repository, number = np.divmod(np.arange(count), depth)
    waits = (gap * rng.uniform(0.9, 1.1, (width, depth))).astype(np.int64)
    waits[:, 0] = rng.integers(0, DAY // SECOND, width) * SECOND
    time = begin + np.cumsum(waits, axis=1).ravel()

    sizes = parameters.distribution("layer_size", layer_size, 1)
    line = repository[release] * len(names) + platform
    parts = [
        stream.layer_sets(parameters.distribution("base_layers", base_layers), sizes, line, width * len(names)),
        stream.layer_sets(parameters.distribution("own_layers", own_layers, 1), sizes, np.arange(images), images),
    ]
    indptr, target = table_of(parts, images)
    children = stream.images(indptr, target, config_size=parameters.distribution("config_size", config_size, 1))
    index_indptr, _ = rows_of(np.full(count, len(names)))
    indexes = stream.indexes(index_indptr, children, platform)

    stream.repositories = [f"multi/app-{row:03}" for row in range(width)]
    stream.tags, stream.platforms = [f"v{row + 1}" for row in range(depth)], names
    group = np.arange(count)
    stream.add(TraceOp.PUSH, time[release], repository=repository[release], manifest=children, group=group[release])
    stream.add(TraceOp.PUSH, time, repository=repository, tag=number, manifest=indexes, group=group)
    old, when = timing.gone_at(time, timing.next_of(repository, time), lifetime, int(time.max()) + 1)
    stream.add(TraceOp.DELETE, when, repository=repository[old], manifest=indexes[old], group=count + 2 * old)
    each = (old[:, None] * len(names) + np.arange(len(names))).ravel()
    stream.add(
        TraceOp.DELETE,
        np.repeat(when, len(names)) + SECOND,
        repository=repository[release[each]],
        manifest=children[each],
        group=count + 2 * release[each] + 1,
    )
    return stream.finish()
