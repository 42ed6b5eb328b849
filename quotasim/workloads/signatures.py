"""`signed`: images with signatures and attestations that refer to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from quotasim.errors import InvalidValue
from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.workloads import parameters, timing
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.parameters import DAY, SECOND, Removal
from quotasim.workloads.stream import CONFIG_SIZE, LAYER_SIZE, Stream, rows_of, table_of

BASE_LAYERS: Final = Distribution((0, 1), (2, 5), "linear")
OWN_LAYERS: Final = Distribution((0, 1), (1, 4), "linear")
"""Layers that the images of a repository share, and those of each; choices."""

SIGNATURE_SIZE: Final = Distribution.between(700, 6_000)
"""Bytes of a signature's payload: without and with a certificate. A choice."""

ATTESTATION_SIZE: Final = Distribution.between(20_000, 3_000_000)
"""Bytes of a bill of materials. A choice."""

EMPTY_CONFIG: Final = Distribution.always(2)
"""Bytes of the config of what is no image: ``{}``."""


def signed(
    *,
    repositories: int = 10,
    images: int = 30,
    signatures: int = 1,
    attested: float = 0.5,
    push_every: str | timedelta = "2d",
    sign_after: str | timedelta = "90s",
    tag_lifetime: str | timedelta | None = "30d",
    removal: Removal = "delete",
    base_layers: Distribution = BASE_LAYERS,
    own_layers: Distribution = OWN_LAYERS,
    signature_size: Distribution = SIGNATURE_SIZE,
    attestation_size: Distribution = ATTESTATION_SIZE,
    layer_size: Distribution = LAYER_SIZE,
    config_size: Distribution = CONFIG_SIZE,
    start: str | datetime = "2026-01-01",
    seed: int = 0,
) -> TraceTable:
    """Generate images that are signed after their push, some with a bill of materials: manifests with a ``subject``.

    They are pushed by digest, as the referrers API of the OCI distribution spec has it, and never deleted by
    themselves: whether they go with their image is the registry kind's.

    Parameters
    ----------
    repositories, images : how many, and how many in each.
    signatures : of each image.
    attested : part of the images that also get a bill of materials.
    push_every : between the images of a repository, up to a tenth sooner or later.
    sign_after : from the push to the first signature; the others follow at the same distance.
    tag_lifetime : after which an image goes, unless it is its repository's last; None: none goes.
    removal : how it goes: its manifest, or its tag.
    base_layers, own_layers : layers of images.
    signature_size, attestation_size, layer_size, config_size : bytes.

    Returns
    -------
    TraceTable.

    Raises
    ------
    InvalidValue : a parameter is out of its range, or signing would take longer than until the image goes.

    Examples
    --------
    >>> stream = signed(repositories=1, images=2, attested=0)
    >>> stream.manifests.subject.tolist()
    [-1, -1, 0, 1]
    """
    stream = Stream(parameters.seed_of(seed), "signed")
    rng, begin = stream.rng, parameters.moment("start", start)
    width, depth = parameters.count("repositories", repositories), parameters.count("images", images)
    per_image = parameters.count("signatures", signatures, least=0, most=100)
    part, gone = parameters.share("attested", attested), parameters.removal_of(removal)
    gap, delay = parameters.span("push_every", push_every), parameters.span("sign_after", sign_after)
    lifetime = parameters.duration("tag_lifetime", tag_lifetime)
    count = parameters.count("repositories * images", width * depth)
    if lifetime is not None and delay * (per_image + 1) >= lifetime:
        raise InvalidValue("sign_after", sign_after, "so short that all is signed within tag_lifetime")

    repository, number = np.divmod(np.arange(count), depth)
    waits = (gap * rng.uniform(0.9, 1.1, (width, depth))).astype(np.int64)
    waits[:, 0] = rng.integers(0, DAY // SECOND, width) * SECOND
    time = begin + np.cumsum(waits, axis=1).ravel()
    sizes = parameters.distribution("layer_size", layer_size, 1)
    config = parameters.distribution("config_size", config_size, 1)
    parts = [
        stream.layer_sets(parameters.distribution("base_layers", base_layers), sizes, repository, width),
        stream.layer_sets(parameters.distribution("own_layers", own_layers, 1), sizes, np.arange(count), count),
    ]
    pushed = stream.images(*table_of(parts, count), config_size=config)

    stream.repositories = [f"signed/app-{row:03}" for row in range(width)]
    stream.tags = [f"v{row + 1}" for row in range(depth)]
    stream.add(TraceOp.PUSH, time, repository=repository, tag=number, manifest=pushed)
    subject, turn = (grid.ravel() for grid in np.indices((count, per_image)))
    bill = np.flatnonzero(rng.random(count) < part)
    for row, place, size in (
        (subject, turn, parameters.distribution("signature_size", signature_size, 1)),
        (bill, np.full(bill.size, per_image), parameters.distribution("attestation_size", attestation_size, 1)),
    ):
        if row.size:
            payload = stream.layers(size.spread(rng, row.size))
            indptr, _ = rows_of(np.ones(row.size, np.int64))
            manifest = stream.images(indptr, payload, config_size=EMPTY_CONFIG, subject=pushed[row])
            stream.add(TraceOp.PUSH, time[row] + delay * (place + 1), repository=repository[row], manifest=manifest)
    old, when = timing.gone_at(time, timing.next_of(repository, time), lifetime, int(time.max()) + 1)
    stream.remove(gone, when, repository=repository[old], tag=number[old], manifest=pushed[old])
    return stream.finish()
