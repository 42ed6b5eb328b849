"""`one_gb`: the experiment of the vendor's FAQ by which a quota's accounting is checked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.model.digests import digests_from_strings
from quotasim.model.oci import Blob
from quotasim.workloads import parameters
from quotasim.workloads.stream import Stream

EMPTY_LAYER: Final = Blob("sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4", 32)
"""The empty tar file under gzip, which a build step that changes nothing leaves; half the world shares it."""

_TAR_BLOCK: Final = 512
_STORED_BLOCK: Final = 65_535
_STORED_OVERHEAD: Final = 5
_GZIP_FRAME: Final = 18


def random_layer_bytes(content: int) -> int:
    """Size of a layer that holds one file of random bytes, which gzip cannot make smaller and so makes larger.

    The tar file has a header block before the content and two empty blocks after it. DEFLATE stores what it cannot
    compress in blocks of at most 65,535 bytes with 5 bytes before each (RFC 1951, section 3.2.4); gzip adds a header of
    10 and a trailer of 8 (RFC 1952, section 2.3). This is the least that DEFLATE can do; a real layer may be a
    little larger.

    Parameters
    ----------
    content : bytes of the file.

    Examples
    --------
    >>> random_layer_bytes(2**30) - 2**30
    83479
    """
    tar = _TAR_BLOCK + -(-content // _TAR_BLOCK) * _TAR_BLOCK + 2 * _TAR_BLOCK
    return tar + -(-tar // _STORED_BLOCK) * _STORED_OVERHEAD + _GZIP_FRAME


def one_gb(
    *,
    content: int | str = "1GiB",
    base: int | str = 3_626_897,
    wait: str | timedelta = "15min",
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate the FAQ's experiment: push an image with a layer of random bytes that no other has, and delete it.

    The image has alpine's layer, one of 32 x 32 MiB from ``/dev/urandom``, and the empty layer of a step that changes
    nothing; alpine is there before, so that its layer is shared.

    Parameters
    ----------
    content : random bytes; the layer is a little larger.
    base : bytes of alpine's layer.
    wait : from the push to the deletion, so that the display can follow.

    Returns
    -------
    TraceTable of three operations: alpine's push, the image's a minute later, and the image's deletion.

    Raises
    ------
    InvalidValue : a parameter is out of its range.

    Examples
    --------
    >>> from quotasim import replay
    >>> usage = replay(one_gb(), profile="acr-premium").usage()
    >>> usage.charged_bytes < 4_000_000 and usage.stored_bytes > 2**30
    True
    """
    stream = Stream(parameters.seed_of(seed), "one_gb")
    begin, rest = parameters.moment("start", start), parameters.span("wait", wait)
    layers = stream.layers(
        np.array([parameters.size("base", base), random_layer_bytes(parameters.size("content", content))])
    )
    empty = stream.known_layer(digests_from_strings([EMPTY_LAYER.digest]).words256[0], EMPTY_LAYER.size or 0)
    images = stream.images(np.array([0, 1, 4]), np.array([layers[0], layers[0], layers[1], empty[0]]))
    stream.repositories, stream.tags = ("alpine", "1gb"), ("3.20", "latest")
    pushed = begin + parameters.MINUTE * np.arange(2)
    stream.add(TraceOp.PUSH, pushed, repository=np.arange(2), tag=np.arange(2), manifest=images)
    stream.add(TraceOp.DELETE, pushed[1:] + rest, repository=1, manifest=images[1:])
    return stream.finish()
