"""`failed_pushes`: builds that are cancelled while they push."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters, timing
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import SECOND, Hours
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, rows_of, table_of

BASE_LAYERS: Final = Distribution((0, 1), (2, 4), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 6), "linear")
"""Layers that the images of a repository share, and those that a push uploads; choices."""


def failed_pushes(
    *,
    repositories: int = 10,
    pushes: int = 400,
    failed: float = 0.2,
    retried: float = 0.5,
    cancels: float = 0.0,
    chunk: int | str = "8MiB",
    days: int = 30,
    hours: Hours | None = None,
    retry_after: str | timedelta = "10min",
    base_layers: Distribution = BASE_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-05",
    seed: int = 0,
) -> TraceTable:
    """Generate pushes of which some are cancelled: what they leave are blobs without a manifest and unfinished uploads.

    A push that fails does so while it uploads one of its own layers: those before it are there, of this one some chunks
    are, and its upload is never finished. Some are tried again, with the same layers. A push that works is one
    operation.

    Parameters
    ----------
    repositories, pushes : how many, and how many in all, retries not counted.
    failed : part of the pushes that fail.
    retried : part of these that are tried again, and work.
    cancels : part of the failed pushes whose client gives its upload up in order (DELETE); the others just stop.
    chunk : bytes that a client sends at a time.
    days, hours : when pushes begin; by default from 8 to 18 h UTC, Monday to Friday.
    retry_after : from the failure to the push that works.
    base_layers, own_layers : layers that a repository's images share, which are there already, and those of each push.
    layer_size, config_size : bytes.

    Returns
    -------
    TraceTable; each request of a failed push is a batch of its own, a second after the one before.

    Raises
    ------
    InvalidValue : a parameter is out of its range.

    Examples
    --------
    >>> stream = failed_pushes(pushes=10, failed=1, retried=0)
    >>> int((stream.op == TraceOp.START_UPLOAD).sum() - ((stream.op == TraceOp.UPLOAD) & (stream.upload >= 0)).sum())
    10
    """
    stream = Stream(parameters.seed_of(seed), "failed_pushes")
    rng, begin = stream.rng, parameters.moment("start", start)
    width, count = parameters.count("repositories", repositories), parameters.count("pushes", pushes)
    day_count = parameters.count("days", days, most=100_000)
    fails = rng.random(count) < parameters.share("failed", failed)
    again = fails & (rng.random(count) < parameters.share("retried", retried))
    in_order = fails & (rng.random(count) < parameters.share("cancels", cancels))
    wait = parameters.span("retry_after", retry_after)
    piece = max(parameters.size("chunk", chunk), 1)
    time = np.sort(timing.working_times(rng, begin, day_count, count, Hours() if hours is None else hours))
    parameters.count("days with working hours", int(time.size > 0))

    # The first image of each repository is there before, so that its base layers are.
    rows = width + count
    repository = np.concatenate((np.arange(width), rng.integers(0, width, count)))
    sizes = parameters.distribution("layer_size", layer_size, 1)
    shared = stream.layer_sets(parameters.distribution("base_layers", base_layers), sizes, repository, width)
    image, own = stream.layer_sets(parameters.distribution("own_layers", own_layers, 1), sizes, np.arange(rows), rows)
    images = stream.images(
        *table_of([shared, (image, own)], rows),
        config_size=parameters.distribution("config_size", config_size, 1),
    )
    stream.repositories = [f"builds/app-{row:03}" for row in range(width)]
    tag = timing.number_in(repository)
    stream.tags = [f"build-{number + 1}" for number in range(int(tag.max()) + 1)]
    pushed_at = np.concatenate((np.full(width, begin), time))
    own_layers_of, _ = rows_of(np.bincount(image, minlength=rows))

    # A failed push uploads its layers in order, and stops in this one.
    failing = np.flatnonzero(fails) + width
    layers = np.diff(own_layers_of)[failing]
    stops = (rng.random(failing.size) * layers).astype(np.int64)
    steps, push = rows_of(stops + 1)
    place = np.arange(push.size) - steps[:-1][push]
    blob = own[own_layers_of[failing[push]] + place]
    size = stream.sizes[blob]
    chunks = -(-size // piece)
    whole = place < stops[push]
    # At least one chunk came, and not all; of a blob of one chunk a part.
    sent = np.where(whole, chunks, np.maximum((rng.random(push.size) * chunks).astype(np.int64), 1))
    uploads = np.arange(push.size)

    # Requests, a second each: POST, a PATCH for each chunk, then PUT, or what there is of an end.
    ends = whole | in_order[failing[push] - width]
    requests = 1 + sent + ends
    _, of = rows_of(requests)
    before = np.cumsum(requests) - requests
    step = np.arange(of.size) - before[of]
    since = np.arange(of.size) - before[steps[:-1]][push[of]]
    request_time = pushed_at[failing[push[of]]] + since * SECOND
    where = repository[failing[push[of]]]
    begins, finishes = step == 0, ends[of] & (step == requests[of] - 1)
    patches = ~begins & ~finishes
    last = size[of] - (step - 1) * piece
    amount = np.minimum(piece, np.where(~whole[of] & (sent[of] == chunks[of]), np.maximum(last // 2, 1), last))
    codes = (
        (TraceOp.START_UPLOAD, begins),
        (TraceOp.APPEND, patches),
        (TraceOp.UPLOAD, finishes & whole[of]),
        (TraceOp.CANCEL_UPLOAD, finishes & ~whole[of]),
    )
    for op, chosen in codes:
        stream.add(
            op,
            request_time[chosen],
            repository=where[chosen],
            blob=blob[of[chosen]] if op == TraceOp.UPLOAD else -1,
            upload=uploads[of[chosen]],
            amount=amount[chosen] if op == TraceOp.APPEND else 0,
        )
    works = np.concatenate((np.arange(width), np.flatnonzero(~fails) + width))
    stream.add(TraceOp.PUSH, pushed_at[works], repository=repository[works], tag=tag[works], manifest=images[works])
    ended = np.zeros(rows, np.int64)
    np.maximum.at(ended, failing[push[of]], request_time)
    retry = np.flatnonzero(again) + width
    stream.add(TraceOp.PUSH, ended[retry] + wait, repository=repository[retry], tag=tag[retry], manifest=images[retry])
    return stream.finish()
