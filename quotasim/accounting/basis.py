"""Scope and basis: which holders make a blob count, and a recount from scratch for any of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import NULL, descriptors, layout, sharing
from quotasim.model.content import Content, descriptor_rows
from quotasim.model.names import Names
from quotasim.model.oci import Kind
from quotasim.model.state import State
from quotasim.model.totals import exact_sum, words_to_ints

Array = npt.NDArray[Any]

ALL_ROLES = layout.ROLE_CONFIG | layout.ROLE_LAYER | layout.ROLE_OWN


class Scope(IntEnum):
    """Within what a blob counts once."""

    REPOSITORY = layout.SCOPE_REPOSITORY
    NAMESPACE = layout.SCOPE_NAMESPACE
    REGISTRY = layout.SCOPE_REGISTRY


class Basis(IntEnum):
    """What makes a blob count in a scope; each basis includes the ones before it."""

    TAGGED = layout.BASIS_TAGGED
    REFERENCED = layout.BASIS_REFERENCED
    LINKED = layout.BASIS_LINKED
    STORED = layout.BASIS_STORED


def scope_names(names: Names, scope: Scope) -> list[str]:
    """Return the names of a scope's rows; the registry's one row is called ``""``."""
    if scope is Scope.REPOSITORY:
        return names.repositories.values
    if scope is Scope.NAMESPACE:
        return names.namespaces.values
    return [""]


def scope_of_repositories(names: Names, scope: Scope, repositories: Array) -> Array:
    """Return the scope row of each repository row, int64[n]."""
    if scope is Scope.REPOSITORY:
        return repositories.astype(np.int64)
    if scope is Scope.NAMESPACE:
        return names.namespace[repositories].astype(np.int64)
    return np.zeros(repositories.shape[0], np.int64)


def held_manifests(content: Content, names: Names, state: State, scope: Scope, basis: Basis) -> tuple[Array, Array]:
    """Return (scope rows, manifest rows) of the manifests that hold their blobs in each scope, sorted, each pair once.

    TAGGED starts from tags and follows the children of indexes that are linked in the same scope; the other bases take
    every linked manifest. O(links log links + descriptors of indexes).
    """
    links = np.flatnonzero(state.read("linked"))
    keys = pair_keys(scope_of_repositories(names, scope, names.links.first[links]), names.links.second[links])
    linked = sorted_once(keys)
    if basis is not Basis.TAGGED:
        return linked >> 32, (linked & 0xFFFFFFFF).astype(np.int32)
    targets = state.read("tag_link")
    tagged = targets[targets != NULL]
    frontier = sorted_once(
        pair_keys(scope_of_repositories(names, scope, names.links.first[tagged]), names.links.second[tagged])
    )
    reached = frontier
    graph = content.graph()
    while frontier.size:
        manifests = frontier & 0xFFFFFFFF
        is_index = graph.kind[manifests] == Kind.INDEX
        parents = manifests[is_index]
        counts = graph.indptr[parents + 1] - graph.indptr[parents]
        children = graph.blob_manifest[graph.target[descriptor_rows(content, parents)]].astype(np.int64)
        keys = pair_keys(np.repeat(frontier[is_index] >> 32, counts), children)
        keys = sorted_once(keys[children != NULL])
        keys = keys[contains(linked, keys)]
        frontier = keys[~contains(reached, keys)]
        reached = np.union1d(reached, frontier)
    return reached >> 32, (reached & 0xFFFFFFFF).astype(np.int32)


def basis_bytes(
    content: Content,
    names: Names,
    state: State,
    scope: Scope,
    basis: Basis,
    *,
    role_mask: int = ALL_ROLES,
    counts_foreign: bool = False,
) -> list[int]:
    """Return the bytes of every row of a scope, recounted from links, tags and stored flags alone.

    Nothing of the incremental ledger is read, so this is what the ledger is checked against.

    Parameters
    ----------
    role_mask : the roles of descriptors that count; STORED counts every role.
    counts_foreign : whether foreign layers count.

    Returns
    -------
    One exact int a scope row, in the order of :func:`scope_names`. STORED exists for the registry only: other
    scopes give 0.

    Notes
    -----
    O(blobs + references of linked manifests + links); TAGGED sorts the links too.
    """
    count = len(scope_names(names, scope))
    graph = content.graph()
    if basis is Basis.STORED:
        if scope is not Scope.REGISTRY:
            return [0] * count
        counted = state.read("stored") != 0
        if not counts_foreign:
            counted &= (graph.flags & layout.FLAG_FOREIGN) == 0
        return [exact_sum(graph.size[counted])]
    if basis is Basis.TAGGED:
        scopes, manifests = held_manifests(content, names, state, scope, basis)
    else:  # a manifest that several repositories of a scope link counts once there all the same
        links = np.flatnonzero(state.read("linked"))
        scopes = scope_of_repositories(names, scope, names.links.first[links])
        manifests = names.links.second[links]
    extra_scopes, extra = np.empty(0, np.int64), np.empty(0, np.int32)
    if basis is Basis.LINKED:
        repositories, extra = state.explicit_blob_links()
        extra_scopes = scope_of_repositories(names, scope, repositories)
    out = np.zeros((count, 2), np.int64)
    sharing.group_bytes(
        graph,
        *grouped(scopes, manifests, count),
        *grouped(extra_scopes, extra, count),
        role_mask,
        int(counts_foreign),
        np.empty((content.blob_count, 2), np.int64),
        out,
    )
    return words_to_ints(out)


def grouped(scopes: Array, rows: Array, count: int) -> tuple[Array, Array]:
    """Return (int64[count + 1], int32[n]): the rows of each scope, in their order. O(n)."""
    start, order = np.zeros(count + 1, np.int64), np.empty(rows.shape[0], np.int32)
    descriptors.transpose(np.arange(rows.shape[0] + 1), scopes.astype(np.int32), start, order)
    return start, np.ascontiguousarray(rows[order])


def sorted_once(keys: Array) -> Array:
    """Return the different ones of some int64 keys, sorted: np.unique hashes first, which takes far longer."""
    keys = np.sort(keys)
    first = np.ones(keys.shape[0], bool)
    first[1:] = keys[1:] != keys[:-1]
    return np.asarray(keys[first])


def pair_keys(scopes: Array, manifests: Array) -> Array:
    """Pack pairs of ids into int64 keys."""
    return (scopes.astype(np.int64) << 32) | manifests.astype(np.int64)


def contains(sorted_keys: Array, keys: Array) -> Array:
    """Return which of ``keys`` occur in ``sorted_keys``."""
    if sorted_keys.size == 0:
        return np.zeros(keys.shape[0], bool)
    at = np.minimum(np.searchsorted(sorted_keys, keys), sorted_keys.size - 1)
    return np.asarray(sorted_keys[at] == keys)
