"""`hub_like`: a whole registry's history, with the distributions of a real one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.kernels import NULL, sizing
from quotasim.workloads import parameters
from quotasim.workloads.calibration import SHARING_CLASSES, Calibration
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, SECOND, Removal
from quotasim.workloads.stream import CONFIG_SIZE, Stream, rows_of

Array = npt.NDArray[Any]
Longs = npt.NDArray[np.int64]

_PARTS: Final = 64
"""Into so many the shares of new bytes are divided, to keep account of which were had."""

_BINS: Final = 512
"""Of sizes, on a logarithmic scale: one is 4 % wide where sizes go from 32 B to 4 GB. A power of two."""

_STRETCHES: Final = 500
"""No run of images with one number of layers is a larger part of the whole, or the numbers would be off."""

_SPACING: Final = 30 * SECOND
"""Between the pushes of images that are made together: the median of the real history is 33 s."""


def hub_like(
    *,
    manifests: int = 20_000,
    repositories: int = 150,
    days: int = 600,
    calibration: Calibration | None = None,
    config_size: Distribution = CONFIG_SIZE,
    removal: Removal = "untag",
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate the pushes of a whole registry, with the layers, sizes, sharing and new bytes of a real one.

    A repository has lines of tags that are pushed together, again and again: each push takes over layers of the one
    before and brings others. How many images have a layer, how many layers an image has and how large layers are is
    drawn from the calibration, each value as often as it says; which layers come in which push follows from how long
    each is used; sizes are dealt out so that pushes bring the shares of new bytes that the calibration has.

    Parameters
    ----------
    manifests : images, each pushed once.
    repositories : at most as many as there are lines of tags.
    days : from the first push to the last removal.
    calibration : by default :meth:`Calibration.fitted`.
    removal : ``"untag"``: a tag moves, and leaves its image untagged; ``"delete"``: the image goes.

    Returns
    -------
    TraceTable; configs and manifests, which the real history has no sizes of, come on top.

    Raises
    ------
    InvalidValue : a parameter is out of its range.

    Notes
    -----
    O(layers of all images * log of the blobs). 10 million of them take some seconds and 1.1 GB.

    Examples
    --------
    >>> stream = hub_like(manifests=500, seed=1)
    >>> len(stream.manifests.digest), int((stream.op == TraceOp.PUSH).sum())
    (500, 500)
    """
    stream = Stream(parameters.seed_of(seed), "hub_like")
    count = parameters.count("manifests", manifests)
    horizon = parameters.count("days", days, most=100_000) * DAY
    begin = parameters.moment("start", start)
    chosen = Calibration.fitted() if calibration is None else calibration
    lines = _draw_lines(stream.rng, chosen, count, horizon, parameters.count("repositories", repositories))
    order = np.argsort(lines.time, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)

    indptr, target, sharing = _share_layers(stream.rng, chosen, lines, rank)
    layers = stream.layers(_sizes(stream.rng, chosen, indptr, target, sharing))
    images = stream.images(indptr, layers[target], config_size=parameters.distribution("config_size", config_size, 1))
    _operate(stream, lines, images[rank], begin, parameters.removal_of(removal))
    return stream.finish()


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Lines of tags that are pushed together, and their images: line by line, every other one backwards in time, so
    that images which are neighbours were made at nearly the same time.

    Attributes
    ----------
    width : int64[C] tags of each line.
    gone : int64[C] when its tags are removed, NULL: never.
    repository, number : int64[C] its repository, and its place among that one's lines.
    line, place : int64[M] the line of each image, and its place in the line in order of time.
    time : int64[M] microseconds after the start.
    layers : int64[M] how many it has.
    """

    width: Longs
    gone: Longs
    repository: Longs
    number: Longs
    line: Longs
    place: Longs
    time: Longs
    layers: Longs


def _draw_lines(
    rng: np.random.Generator, calibration: Calibration, count: int, horizon: int, repositories: int
) -> _Lines:
    # As many lines as it takes, and the last one cut.
    guess = int(count / (calibration.pushes_per_tag.mean * calibration.images_per_push.mean)) + 50
    width = versions = np.empty(0, np.int64)
    while int((width * versions).sum()) < count:
        width = np.concatenate((width, calibration.images_per_push.whole(rng, guess, 1)))
        versions = np.concatenate((versions, calibration.pushes_per_tag.whole(rng, guess, 1)))
    # No line is a large part of the whole: the distributions would have to bend for it.
    width = np.minimum(width, max(count // 50, 1))
    versions = np.minimum(versions, np.maximum(count // 20 // width, 1))
    while int((width * versions).sum()) < count:
        width, versions = np.tile(width, 2), np.tile(versions, 2)
    ends = np.cumsum(width * versions)
    lines = int(np.searchsorted(ends, count)) + 1
    width, size = width[:lines], (width * versions)[:lines]
    size[-1] -= ends[lines - 1] - count
    versions = -(-size // width)

    _, line = rows_of(size)
    along = np.arange(count) - (np.cumsum(size) - size)[line]
    place = np.where(line % 2 == 1, size[line] - 1 - along, along)
    first, version_line = rows_of(versions)
    gap = (calibration.repush_gap.spread(rng, version_line.size) * SECOND).astype(np.int64)
    gap[first[:-1]] = 0
    since = np.cumsum(gap)
    since -= since[first[:-1]][version_line]
    spacing = width * _SPACING
    # A line that takes longer than there is time is pushed faster.
    length = since[first[1:] - 1] + spacing
    room = int(0.95 * horizon)
    faster = np.minimum(room / length, 1.0)
    since = (since * faster[version_line]).astype(np.int64)
    length = np.minimum(length, room)
    # Neighbours begin at about the same time.
    begin = (np.sort(rng.random(lines)) * (room - length)).astype(np.int64)
    step = np.minimum(_SPACING, (faster * _SPACING).astype(np.int64))
    time = begin[line] + since[first[:-1][line] + place // width[line]] + (place % width[line]) * step[line]

    lifetime = (calibration.tag_lifetime.spread(rng, lines) * SECOND).astype(np.int64)
    last = np.zeros(lines, np.int64)
    np.maximum.at(last, line, time)
    gone = np.maximum(begin + lifetime, last + DAY)
    gone[(rng.random(lines) < calibration.kept) | (gone >= horizon)] = NULL
    # Lines in a row share layers, and so are of one repository.
    repository = np.arange(lines) * min(repositories, lines) // lines
    number = np.arange(lines) - np.searchsorted(repository, repository)
    # Each number of layers as often as it should be: stretches of lines are laid side by side in any order.
    stretch = np.cumsum((np.diff(line, prepend=-1) != 0) | (along % max(count // _STRETCHES, 1) == 0)) - 1
    length = np.bincount(stretch)
    shuffled = rng.permutation(length.size)
    middle = np.empty(length.size)
    middle[shuffled] = (np.cumsum(length[shuffled]) - length[shuffled] / 2) / count
    layers = np.maximum(np.rint(calibration.layers.at(middle)), 1).astype(np.int64)[stretch]
    return _Lines(width, gone, repository, number, line, place, time, layers)


def _lane_width(calibration: Calibration, layers: Longs) -> float:
    """Return how many layers come and go together, so that as many pushes bring none as the calibration says.

    A layer that is used by s images on average comes new in one of s pushes; with k that come independently a push
    brings none with the probability (1 - 1/s)**k.
    """
    stays = 1 - 1 / max(calibration.sharing.mean, 1 + 1e-9)
    amounts = np.bincount(layers) / layers.size
    number = np.arange(amounts.size)
    narrow, wide = 1.0, float(max(layers.max(), 1))
    for _ in range(40):
        middle = (narrow + wide) / 2
        if np.sum(amounts * stays ** np.maximum(np.ceil(number / middle), 1)) > calibration.unchanged:
            wide = middle
        else:
            narrow = middle
    return narrow


def _share_layers(
    rng: np.random.Generator, calibration: Calibration, lines: _Lines, rank: Longs
) -> tuple[Longs, Array, Longs]:
    """Return (indptr, target) of the images in order of their pushes, and how many images have each layer.

    Layers lie in lanes, a few in each. Along a lane, image by image, one set of layers follows the other; each is used
    by as many images in a row as drawn. So every image has its number of layers, and every layer its number of images.
    """
    count, layers = rank.size, lines.layers
    ordered = np.empty(count, np.int64)
    ordered[rank] = layers
    indptr, _ = rows_of(ordered)
    target = np.empty(int(indptr[-1]), np.int32)
    width = _lane_width(calibration, layers)
    edges = np.unique(np.rint(np.arange(int(layers.max() / width) + 2) * width).astype(np.int64))
    edges = np.append(edges[edges < layers.max()], layers.max())
    first_use: list[Longs] = []
    uses: list[Longs] = []
    known = 0
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        images = np.flatnonzero(layers > low)
        run = _runs(rng, calibration.sharing, images.size)
        for depth in range(low, high):
            used = layers[images] > depth
            push, of = rank[images[used]], run[used]
            begins = np.flatnonzero(np.diff(of, prepend=-1) != 0)
            blob = np.repeat(np.arange(begins.size, dtype=np.int32), np.diff(np.append(begins, of.size)))
            target[indptr[push] + depth] = known + blob
            first_use.append(np.minimum.reduceat(push, begins))
            uses.append(np.diff(np.append(begins, of.size)))
            known += begins.size
    # Blobs are numbered by their first push.
    order = np.argsort(np.concatenate(first_use), kind="stable")
    number = np.empty(known, np.int32)
    number[order] = np.arange(known)
    target = number[target]
    sizing.sort_rows(indptr, target)
    return indptr, target, np.concatenate(uses)[order]


def _runs(rng: np.random.Generator, sharing: Distribution, count: int) -> Longs:
    """Return the run to which each of ``count`` images in a row belongs; runs are as long as drawn."""
    length = np.empty(0, np.int64)
    while (missing := count - int(length.sum())) > 0:
        length = np.concatenate((length, sharing.whole(rng, int(missing / sharing.mean * 1.02) + 20, 1)))
    runs = int(np.searchsorted(np.cumsum(length), count)) + 1
    return np.repeat(np.arange(runs), length[:runs])[:count]


def _sizes(rng: np.random.Generator, calibration: Calibration, indptr: Longs, target: Array, sharing: Longs) -> Longs:
    """Return a size for every layer."""
    group = np.searchsorted(SHARING_CLASSES, sharing).astype(np.uint8)
    amounts = np.bincount(group, minlength=len(calibration.layer_size))
    drawn = [one.whole(rng, int(amount), 1) for one, amount in zip(calibration.layer_size, amounts, strict=True)]
    least = float(np.log(min(int(part.min()) for part in drawn if part.size)))
    most = float(np.log(max(int(part.max()) for part in drawn if part.size)))
    scale = (_BINS - 1e-6) / max(most - least, 1e-6)
    tree = np.zeros((len(drawn), _BINS + 1), np.int64)
    free = np.zeros((len(drawn), _BINS, 2), np.int64)
    pool: list[Longs] = []
    before = 0
    for row, part in enumerate(drawn):
        bins = np.clip(((np.log(part) - least) * scale).astype(np.int64), 0, _BINS - 1)
        pool.append(part[np.argsort(bins, kind="stable")])
        held = np.bincount(bins, minlength=_BINS)
        free[row, :, 0] = before + np.cumsum(held) - held
        free[row, :, 1] = held
        before += part.size
        # A Fenwick tree: node k has the sum of the k & -k bins up to it.
        sums = np.concatenate(([0], np.cumsum(held)))
        nodes = np.arange(1, _BINS + 1)
        tree[row, 1:] = sums[nodes] - sums[nodes - (nodes & -nodes)]
    size = np.zeros(group.size, np.int64)
    sizing.assign_sizes(
        indptr,
        target,
        group,
        calibration.new_share.at(np.linspace(0, 1, _PARTS + 1)),
        calibration.image_size.spread(rng, indptr.size - 1),
        rng.random(group.size),
        np.zeros(_PARTS),
        tree,
        free,
        np.concatenate(pool),
        least,
        scale,
        size,
    )
    return size


def _operate(stream: Stream, lines: _Lines, images: Array, begin: int, removal: Removal) -> None:
    """Push every image with its tag, and remove tags at their end."""
    stream.repositories = [f"library/image-{number:04}" for number in range(int(lines.repository.max()) + 1)]
    variant = lines.place % lines.width[lines.line]
    wide, deep = int(lines.width.max()), int(lines.number.max()) + 1
    stream.tags = [f"{line // 10 + 1}.{line % 10}-{number}" for line in range(deep) for number in range(wide)]
    repository, tag = lines.repository[lines.line], lines.number[lines.line] * wide + variant
    time = begin + lines.time
    group = stream.add(TraceOp.PUSH, time, repository=repository, tag=tag, manifest=images)
    key = np.lexsort((lines.time, variant, lines.line))
    same = np.flatnonzero((lines.line[key[1:]] == lines.line[key[:-1]]) & (variant[key[1:]] == variant[key[:-1]]))
    replaced, by = key[same], key[same + 1]
    if removal == "delete":
        stream.add(TraceOp.DELETE, time[by], repository=repository[by], manifest=images[replaced], group=group[by])
    is_last = np.ones(images.size, bool)
    is_last[replaced] = False
    ends = np.flatnonzero(is_last & (lines.gone[lines.line] != NULL))
    stream.remove(
        removal,
        begin + lines.gone[lines.line[ends]],
        repository=repository[ends],
        tag=tag[ends],
        manifest=images[ends],
    )
