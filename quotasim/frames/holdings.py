"""What an engine holds now: images, blobs, repositories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.accounting.sharing import SharingRow, first_tags, image_rows, link_names, sharing_rows
from quotasim.engine import Engine
from quotasim.frames.columns import NO_TIME, categories, digest_categories, exact, from_codes, nullable, text, times
from quotasim.kernels import NULL, layout
from quotasim.model.digests import format_digests
from quotasim.model.oci import Kind

Array = npt.NDArray[Any]


def _figures(rows: Sequence[SharingRow]) -> dict[str, Array]:
    names = ("logical_bytes", "unique_bytes", "exclusive_bytes", "shared_bytes", "attributed_bytes")
    return {name: exact([getattr(row, name) for row in rows]) for name in names}


def sharing(rows: Sequence[SharingRow]) -> pd.DataFrame:
    """One row a row of :meth:`quotasim.Registry.df`, in the same order.

    Returns
    -------
    A frame of ``name`` (str), ``logical_bytes``, ``unique_bytes``, ``exclusive_bytes``, ``shared_bytes``,
    ``attributed_bytes``.

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> pushed = registry.push("team/app:1", Image([Blob.synthetic("layer", 1000)]))
    >>> sharing(registry.df(by="namespace"))["name"].tolist()
    ['team']
    """
    return pd.DataFrame({"name": text([row.name for row in rows]), **_figures(rows)})


def images(engine: Engine) -> pd.DataFrame:
    """One row an image: a root manifest of a repository, with all that belongs to it; sorted by name.

    Returns
    -------
    A frame of ``name`` (``repository:first-tag``, else ``repository@digest``), ``repository``, ``manifest``
    (digest), ``kind`` (``image``, ``index``), ``platform``, ``tags`` (all of them, sorted, joined by ``",
    "``), ``tag_count``, ``pushed_at``, ``pushed_at_is_estimated`` (an import did not know it),
    ``tagged_at`` (the last time; missing where untagged), ``pulled_at`` (missing where unknown),
    ``manifest_count`` (itself included), ``logical_bytes``, ``unique_bytes``, ``exclusive_bytes``,
    ``shared_bytes``, ``attributed_bytes``.

    Notes
    -----
    O(references of the images + links log links).
    """
    engine.sync()
    content, names, state, log = engine.content, engine.names, engine.state, engine.log
    graph = content.graph()
    rows = image_rows(content, names, state)
    labels = first_tags(names, state)
    titles = link_names(content, names, labels, rows.root)
    order = sorted(range(len(titles)), key=titles.__getitem__)
    root = rows.root[np.array(order, np.int64)]
    manifest = names.links.second[root]

    tags = np.flatnonzero(state.read("tag_link") != NULL)
    tagged_at = np.full(len(names.links), NO_TIME, np.int64)
    set_at = log.times_of(state.read("tag_event")[tags], absent=NO_TIME)
    np.maximum.at(tagged_at, state.read("tag_link")[tags], set_at)
    pulled = state.read("pulled_at")
    pulled_at = pulled[root] if pulled.size else np.full(root.size, NULL, np.int64)
    platform = content.platform[manifest].astype(np.int64)
    return pd.DataFrame(
        {
            "name": text([titles[row] for row in order]),
            "repository": categories(names.links.first[root], names.repositories.values),
            "manifest": digest_categories(engine, graph.own[manifest]),
            "kind": from_codes(graph.kind[manifest], [kind.name.lower() for kind in Kind]),
            "platform": categories(np.where(platform == 0, NULL, platform), content.platforms.values),
            "tags": text([", ".join(labels.get(link, ())) for link in root.tolist()]),
            "tag_count": state.read("tag_count")[root].astype(np.int64),
            "pushed_at": times(log.times_of(state.read("link_event")[root], absent=NO_TIME)),
            "pushed_at_is_estimated": state.read("link_estimated")[root] != 0,
            "tagged_at": times(tagged_at[root]),
            "pulled_at": times(np.where(pulled_at == NULL, NO_TIME, pulled_at)),
            "manifest_count": np.diff(rows.indptr)[np.array(order, np.int64)],
            **_figures(sharing_rows(content, names, state, "image")),
        }
    )


def blobs(engine: Engine) -> pd.DataFrame:
    """One row a blob that is on disk or held, sorted by digest.

    Returns
    -------
    A frame of ``digest`` (str), ``size`` (Int64 bytes, missing where unknown), ``media_type``, ``foreign``,
    ``stored`` (bool), ``holders`` (live manifests that contain it), ``stored_at`` (last uploaded or linked;
    missing where it is not stored), ``released_at`` (last let go of; missing where it is held).

    Notes
    -----
    O(blobs log blobs).
    """
    engine.sync()
    content, state, log = engine.content, engine.state, engine.log
    graph = content.graph()
    stored, holders = state.read("stored") != 0, state.read("holders")
    rows = np.flatnonzero(stored | (holders > 0))
    digests = format_digests(content.digest_array(rows))
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__), np.int64)
    rows = rows[order]
    media = content.media_type[rows].astype(np.int64)
    stored_at = log.times_of(state.read("stored_event")[rows], absent=NO_TIME)
    released_at = log.times_of(state.read("released_event")[rows], absent=NO_TIME)
    known = (graph.flags[rows] & layout.FLAG_UNKNOWN_SIZE) == 0
    return pd.DataFrame(
        {
            "digest": text([digests[row] for row in order.tolist()]),
            "size": nullable(np.where(known, graph.size[rows], NULL)),
            "media_type": categories(np.where(media == 0, NULL, media), content.media_types.values),
            "foreign": (graph.flags[rows] & layout.FLAG_FOREIGN) != 0,
            "stored": stored[rows],
            "holders": holders[rows].astype(np.int64),
            "stored_at": times(np.where(stored[rows], stored_at, NO_TIME)),
            "released_at": times(np.where(holders[rows] > 0, NO_TIME, released_at)),
        }
    )


def repositories(engine: Engine) -> pd.DataFrame:
    """One row a repository with anything linked, sorted by name.

    Returns
    -------
    A frame of ``name`` (str), ``namespace``, ``tag_count``, ``manifest_count`` (linked, indexes included),
    ``index_count``, ``logical_bytes``, ``unique_bytes``, ``exclusive_bytes``, ``shared_bytes``,
    ``attributed_bytes``.

    Notes
    -----
    O(references of linked manifests).
    """
    engine.sync()
    content, names, state = engine.content, engine.names, engine.state
    figures = sharing_rows(content, names, state, "repository")
    rows = np.array([names.repositories.find(row.name) for row in figures], np.int64)
    links = np.flatnonzero(state.read("linked"))
    indexes = links[content.graph().kind[names.links.second[links]] == layout.KIND_INDEX]
    tags = np.flatnonzero(state.read("tag_link") != NULL)

    def count(repository: Array) -> Array:
        return np.bincount(repository, minlength=len(names.repositories))[rows].astype(np.int64)

    return pd.DataFrame(
        {
            "name": text([row.name for row in figures]),
            "namespace": categories(names.namespace[rows], names.namespaces.values),
            "tag_count": count(names.tag_repository[tags]),
            "manifest_count": count(names.links.first[links]),
            "index_count": count(names.links.first[indexes]),
            **_figures(figures),
        }
    )
