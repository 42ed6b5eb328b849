"""Chargeback: the charged bytes of a profile, and their cost, split between those who hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import (
    ALL_ROLES,
    Basis,
    Scope,
    contains,
    grouped,
    held_manifests,
    pair_keys,
    scope_names,
    scope_of_repositories,
    sorted_once,
)
from quotasim.accounting.price import apportion, millionths, money
from quotasim.accounting.sharing import By, owned_links
from quotasim.kernels import layout, sharing
from quotasim.model.content import Content
from quotasim.model.names import Names
from quotasim.model.state import State
from quotasim.model.totals import words_to_ints

Array = npt.NDArray[Any]

UNATTRIBUTED = "(unattributed)"
"""The row of charged bytes that no row holds. No repository has such a name."""

Split = Literal["attributed", "exclusive", "logical"]


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """What one row of a grouping has of the charge; bytes are exact ints.

    Attributes
    ----------
    name : of the row; ``"(unattributed)"`` for what is charged and held by nobody, whose three figures are the same.
    logical_bytes : each manifest's charged blobs, as if nothing were shared: in each scope where the row holds it.
    exclusive_bytes : what is charged and nobody else holds in its scope.
    attributed_bytes : each charged blob split equally between the rows that hold it in its scope: adds up to the
        charge.
    cost : this row's part of the bill by ``attributed_bytes``, exact to a millionth; None where the kind has no price.
    currency : of the cost; None where there is none.
    """

    name: str
    logical_bytes: int
    exclusive_bytes: int
    attributed_bytes: int
    cost: Decimal | None = None
    currency: str | None = None


def charge_rows(
    content: Content,
    names: Names,
    state: State,
    by: By,
    scope: Scope,
    basis: Basis,
    *,
    role_mask: int = ALL_ROLES,
    counts_foreign: bool = False,
) -> list[ChargeRow]:
    """Split what :func:`quotasim.accounting.basis.basis_bytes` charges between the rows of a grouping.

    The players are the rows inside each scope: who holds a blob in a scope by a manifest that makes it count there
    (on the basis TAGGED one that a tag of the scope reaches) pays an equal part of it; the bytes that division leaves
    go one each to the first in name order.

    Parameters
    ----------
    by : ``"registry"`` (one row named ``""``), ``"namespace"``, ``"repository"`` or ``"image"``.
    scope, basis, role_mask, counts_foreign : the charging rule, as of a profile.

    Returns
    -------
    Rows without a cost in name order, and last :data:`UNATTRIBUTED`, where it is not 0. Their ``attributed_bytes`` add
    up to the charge.

    Notes
    -----
    O(blobs + references of the rows + links log links): a manifest that several images share is looked at in each.
    """
    graph = content.graph()
    titles, owner, links = owned_links(content, names, state, by)
    manifest, repository = names.links.second[links], names.links.first[links]
    scopes = scope_of_repositories(names, scope, repository)
    if basis is Basis.TAGGED:
        reached = pair_keys(*held_manifests(content, names, state, scope, basis))
        counts = contains(reached, pair_keys(scopes, manifest))
        owner, manifest, scopes = owner[counts], manifest[counts], scopes[counts]
    player_scope, player_row, indptr, held = _players(scopes, owner, manifest)
    bounds = np.searchsorted(player_scope, np.arange(len(scope_names(names, scope)) + 1)).astype(np.int64)

    record = np.zeros((content.blob_count, 4), np.int64)
    record[:, 0] = -1
    record[:, 3] = graph.size
    if not counts_foreign:
        record[(graph.flags & layout.FLAG_FOREIGN) != 0, 3] = 0
    extra_scopes, extra = np.empty(0, np.int64), np.empty(0, np.int32)
    if basis is Basis.STORED:
        role_mask = ALL_ROLES  # whatever a manifest takes it for
        stored = state.read("stored") != 0
        record[~stored, 3] = 0
        extra = np.flatnonzero(stored).astype(np.int32)
        extra_scopes = np.zeros(extra.size, np.int64)
    elif basis is Basis.LINKED and role_mask & layout.ROLE_LAYER:
        repositories, extra = state.explicit_blob_links()
        extra_scopes = scope_of_repositories(names, scope, repositories)
    figures = [np.zeros((len(titles), 2), np.int64) for _ in range(3)]
    loose = np.zeros((1, 2), np.int64)
    sharing.share_charge(
        graph,
        bounds,
        indptr,
        held,
        player_row,
        *grouped(extra_scopes, extra, bounds.size - 1),
        role_mask,
        record,
        *figures,
        loose,
    )
    columns = [words_to_ints(words) for words in figures]
    rows = [ChargeRow(*row) for row in zip(titles, *columns, strict=True)]
    (unheld,) = words_to_ints(loose)
    return [*rows, unattributed(unheld)] if unheld else rows


def _players(scopes: Array, owner: Array, manifest: Array) -> tuple[Array, Array, Array, Array]:
    """Return (scope int64[P], row int32[P], indptr int64[P + 1], manifest int32[n]) of the rows inside each scope, in
    order of scope and row, each manifest once. O(n log n).
    """
    keys = pair_keys(scopes, owner)
    players = sorted_once(keys)
    held = sorted_once(pair_keys(np.searchsorted(players, keys), manifest))
    indptr = np.searchsorted(held >> 32, np.arange(players.size + 1)).astype(np.int64)
    return (
        players >> 32,
        (players & 0xFFFFFFFF).astype(np.int32),
        indptr,
        (held & 0xFFFFFFFF).astype(np.int32),
    )


def unattributed(size: int) -> ChargeRow:
    """Return the row of what is charged and held by nobody."""
    return ChargeRow(UNATTRIBUTED, size, size, size)


def priced(rows: Sequence[ChargeRow], bill: Decimal, currency: str) -> list[ChargeRow]:
    """Return rows with their part of a bill, in proportion to their attributed bytes: costs add up to it exactly.

    What a price includes, and its fee, are shared in that proportion too. Where nothing is charged and there is a bill
    all the same, :data:`UNATTRIBUTED` bears it.

    Examples
    --------
    >>> rows = priced([ChargeRow("a", 9, 1, 2), ChargeRow("b", 9, 0, 1)], Decimal("1.000000"), "USD")
    >>> [str(row.cost) for row in rows]
    ['0.666667', '0.333333']
    """
    kept = list(rows)
    if bill and not any(row.attributed_bytes for row in rows):
        kept.append(unattributed(0))
    costs = split_costs(kept, "attributed", bill)
    return [replace(row, cost=cost, currency=currency) for row, cost in zip(kept, costs, strict=True)]


def split_costs(rows: Sequence[ChargeRow], split: Split, bill: Decimal) -> list[Decimal]:
    """Return what each row pays if every byte that ``split`` gives it costs what a charged byte costs on average.

    By ``"attributed"`` the costs add up to the bill, by the others to what is then asked: more or less than the bill in
    the proportion in which the bytes are more or less than the charge. O(rows log rows).

    Parameters
    ----------
    rows : all rows of one charge, :data:`UNATTRIBUTED` among them where it has bytes or bears the bill.
    """
    sizes = split_bytes(rows, split)
    charged, total = sum(row.attributed_bytes for row in rows), millionths(bill)
    if charged == 0:
        return [money(total if row.name == UNATTRIBUTED else 0) for row in rows]
    asked = round(Fraction(total * sum(sizes), charged))
    return [money(part) for part in apportion(asked, sizes)]


def split_bytes(rows: Sequence[ChargeRow], split: Split) -> list[int]:
    """Return the bytes that a way of splitting gives to each row."""
    return [getattr(row, f"{split}_bytes") for row in rows]
