"""From checked tables to an engine: catalogue rows first, then the events that lead there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.engine import Engine
from quotasim.errors import InvalidValue
from quotasim.importers.digest_columns import take
from quotasim.importers.table_set import TableSet
from quotasim.importers.tag_history import LinkState, Target, history_links, resolve_tags
from quotasim.kernels import NULL
from quotasim.model.content import Content, ManifestBatch
from quotasim.model.digests import DigestArray, digests_from_strings
from quotasim.model.names import Names
from quotasim.model.oci import OCI_CONFIG, OCI_INDEX, Kind, Role
from quotasim.populate import Holding, populate
from quotasim.profiles.base import RegistryProfile

Array = npt.NDArray[Any]

EPOCH = 0


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Catalogue rows of a table set: manifest row of each row of its tables, and its names."""

    manifest: Array  # int32[M], by row of TableSet.manifests
    index: Array  # int32[X]
    repository: Array  # int32, by code
    tag_name: Array  # int32, by code


def engine_from_tables(
    tables: TableSet,
    profile: RegistryProfile,
    *,
    untagged: Literal["drop", "keep"] = "drop",
    as_of: int | None = None,
) -> Engine:
    """Return an engine that holds what a table set describes.

    Parameters
    ----------
    untagged : ``"drop"``: what is bound at the end is linked; ``"keep"``: everything that ever was, untagged at
        its last unbind,
        as in a registry that never deletes, and every manifest without a tag in its own repository.
    as_of : the engine's time, microseconds; by default the newest time in the tables, the epoch if there is none.

    Notes
    -----
    O(references + tags log tags). Content that is not linked is in the catalogue all the same: a trace may name it.
    """
    if untagged not in ("drop", "keep"):
        raise InvalidValue("untagged", untagged, "drop or keep")
    content, names = Content(), Names()
    tags = resolve_tags(tables)
    loaded = _load_catalogue(tables, content, names)
    now = _newest_time(tables) if as_of is None else as_of
    synthetic = _add_indexes(
        content,
        digests_from_strings(list(tags.synthetic_digests)),
        tags.synthetic_indptr,
        loaded.manifest[tags.synthetic_child],
    )
    observed = _first_times(tables, loaded, content.manifest_count, now)

    # What each tag points to, and what that brings along.
    target = np.select(
        [tags.target_kind == Target.IMAGE, tags.target_kind == Target.INDEX],
        [_at(loaded.manifest, tags.target), _at(loaded.index, tags.target)],
        _at(synthetic, tags.target),
    ).astype(np.int32)
    tag_repository = loaded.repository[tags.repository]
    bound_repository = np.repeat(tag_repository, np.diff(tags.indptr))
    bound = loaded.manifest[tags.manifest]
    repository = np.concatenate((bound_repository, tag_repository))
    manifest = np.concatenate((bound, target))
    linked_at = observed[manifest]
    untagged_at = np.full(manifest.size, NULL, np.int64)
    if untagged == "keep":
        links = history_links(tables)
        more_repository = loaded.repository[np.concatenate((links.repository, links.index_repository))]
        more = np.concatenate((loaded.manifest[links.manifest], loaded.index[links.index])).astype(np.int32)
        first = np.concatenate((links.first_bound, links.index_first_tagged))
        last = np.concatenate((links.last_unbound, links.index_last_untagged))
        state = np.concatenate((links.state, links.index_state))
        repository = np.concatenate((repository, more_repository))
        manifest = np.concatenate((manifest, more))
        linked_at = np.concatenate((linked_at, np.where(first == NULL, observed[more], first)))
        untagged_at = np.concatenate((untagged_at, np.where(state == LinkState.UNTAGGED, last, NULL)))

    engine = Engine(profile, EPOCH, content, names)
    link = engine.add_links(repository, manifest)
    link, linked_at, untagged_at = _once(link, linked_at, untagged_at)
    # Children before their indexes, so that an index is never older than what it lists.
    is_index = content.graph().kind[names.links.second[link]] == Kind.INDEX
    order = np.lexsort((is_index, linked_at))
    link, linked_at, untagged_at = link[order], linked_at[order], untagged_at[order]
    unknown = linked_at == NULL
    linked_at = np.where(unknown, now, linked_at)

    tag_names = loaded.tag_name[tags.tag]
    tag_rows = names.add_tags(tag_repository, tag_names, np.zeros(tag_names.size, np.int32))
    tag_link = names.links.find_all(tag_repository, target)
    link_time = np.zeros(len(names.links), np.int64)
    link_time[link] = linked_at
    tagged_at = np.maximum(np.where(tags.tagged_at == NULL, now, tags.tagged_at), link_time[tag_link])
    start = min((int(times.min()) for times in (linked_at, tagged_at) if times.size), default=now)
    engine.state.now = min(start, now)
    holding = Holding(
        link=link,
        linked_at=linked_at,
        untagged_at=untagged_at,
        pulled_at=np.full(link.size, NULL, np.int64),
        tag=tag_rows,
        tag_target=tag_link,
        tagged_at=tagged_at,
        estimated=unknown,
    )
    populate(engine, holding, now)
    return engine


def _at(rows: Array, at: Array) -> Array:
    """Return rows[at] where ``at`` is in range, anything elsewhere: the caller selects."""
    if rows.size == 0:
        return np.zeros(at.size, np.int32)
    return rows[np.minimum(at, rows.size - 1)]


def _once(link: Array, linked_at: Array, untagged_at: Array) -> tuple[Array, Array, Array]:
    """Return every link once, with its earliest time, and its last untagging if any mention has one."""
    rows, at = np.unique(link, return_inverse=True)
    earliest = np.full(rows.size, np.iinfo(np.int64).max)
    np.minimum.at(earliest, at, np.where(linked_at == NULL, np.iinfo(np.int64).max, linked_at))
    earliest[earliest == np.iinfo(np.int64).max] = NULL
    latest = np.full(rows.size, NULL, np.int64)
    np.maximum.at(latest, at, untagged_at)
    return rows.astype(np.int32), earliest, latest


def _newest_time(tables: TableSet) -> int:
    """Return the newest time that the tables mention, the epoch if none does."""
    columns = (tables.bindings.time, tables.manifests.observed_at, tables.manifests.pushed_at, tables.blobs.uploaded_at)
    return max((int(column.max()) for column in columns if column.size and column.max() != NULL), default=EPOCH)


def _load_catalogue(tables: TableSet, content: Content, names: Names) -> _Loaded:
    """Intern blobs, manifests, indexes and names of a table set."""
    blobs, manifests = tables.blobs, tables.manifests
    heads = np.flatnonzero(manifests.same_as == np.arange(manifests.same_as.size))
    configs = np.flatnonzero(manifests.has_config[heads])
    content.reserve(
        blobs=len(blobs.digest) + heads.size + configs.size + len(tables.indexes.digest),
        manifests=heads.size + len(tables.indexes.digest),
        references=int(np.diff(manifests.indptr)[heads].sum()) + configs.size + tables.indexes.child.size,
    )
    media = np.concatenate((content.media_types.add_all(tables.media_types), [0])).astype(np.int32)
    layer_rows = content.add_blobs(blobs.digest, blobs.size, media[blobs.media_type])
    own = content.add_blobs(
        take(manifests.digest, heads), np.full(heads.size, NULL, np.int64), media[manifests.media_type[heads]]
    )
    # A config may be a known layer blob; then its size is known from there and may be left out here.
    config_size = manifests.config_size[heads[configs]]
    config_media = np.full(configs.size, content.media_types.add(OCI_CONFIG), np.int32)
    config = content.add_blobs(take(manifests.config, heads[configs]), config_size, config_media)

    count = np.diff(manifests.indptr)[heads]
    has_config = manifests.has_config[heads].astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(count + has_config))).astype(np.int64)
    target = np.empty(int(indptr[-1]), np.int32)
    role = np.full(target.size, Role.LAYER, np.uint8)
    target[indptr[:-1][configs]] = config
    role[indptr[:-1][configs]] = Role.CONFIG
    begin = indptr[:-1] + has_config
    place = np.arange(int(count.sum())) + np.repeat(begin - (np.cumsum(count) - count), count)
    listed = np.arange(int(count.sum())) + np.repeat(manifests.indptr[heads] - (np.cumsum(count) - count), count)
    target[place] = layer_rows[manifests.layer[listed]]
    platform = np.concatenate((content.platforms.add_all(tables.platforms), [0])).astype(np.int32)
    rows = content.add_manifests(
        ManifestBatch(
            blob=own,
            kind=np.full(heads.size, Kind.IMAGE, np.uint8),
            indptr=indptr,
            target=target,
            role=role,
            platform=platform[manifests.platform[heads]],
        )
    )
    manifest = rows[np.searchsorted(heads, manifests.same_as)]
    indexes = tables.indexes
    index = _add_indexes(content, indexes.digest, indexes.indptr, manifest[indexes.child])
    return _Loaded(
        manifest,
        index,
        names.add_repositories(tables.repositories),
        names.tag_names.add_all(tables.tags),
    )


def _add_indexes(content: Content, digest: DigestArray, indptr: Array, child: Array) -> Array:
    """Intern image indexes over known manifests; their own bytes are unknown."""
    count = len(digest)
    media = np.full(count, content.media_types.add(OCI_INDEX), np.int32)
    own = content.add_blobs(digest, np.full(count, NULL, np.int64), media)
    return content.add_manifests(
        ManifestBatch(
            blob=own,
            kind=np.full(count, Kind.INDEX, np.uint8),
            indptr=indptr,
            target=content.graph().own[child],
            role=np.full(child.size, Role.CHILD, np.uint8),
        )
    )


def _first_times(tables: TableSet, loaded: _Loaded, manifests: int, now: int) -> Array:
    """Return when each manifest was first observed, int64[manifests], NULL where unknown; an index: its newest
    child.
    """
    table = tables.manifests
    times = np.where(table.observed_at == NULL, table.pushed_at, table.observed_at)
    latest = np.iinfo(np.int64).max
    first = np.full(manifests, latest, np.int64)
    np.minimum.at(first, loaded.manifest, np.where(times == NULL, latest, np.minimum(times, now)))
    first[first == latest] = NULL
    return first
