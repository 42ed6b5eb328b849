"""Rows and pairs of what is counted, against dicts: numbered at once or one by one, and looked up again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.accounting import charge_rows
from quotasim.accounting.charge_rows import ChargeRows

from .graphs import World, worlds
from .strategies import checked

Links = list[tuple[int, int]]  # (scope, manifest)


def columns(links: Links) -> tuple[np.ndarray, np.ndarray]:
    scope, manifest = np.array(links, np.int32).reshape(-1, 2).T
    return np.ascontiguousarray(scope), np.ascontiguousarray(manifest)


def check(rows: ChargeRows, world: World, links: Links) -> None:
    """Every link has the row of its (scope, manifest), and that the pairs of its blobs in order."""
    graph, known = world.graph(), list(dict.fromkeys(links))
    assert [known[row] for row in rows.row_of_link.tolist()] == links
    scope, blob = rows.keys(graph)
    pairs = list(zip(scope.tolist(), blob.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == rows.pair_count
    for row, (where, m) in enumerate(known):
        listed = rows.pair[rows.indptr[row] : rows.indptr[row + 1]].tolist()
        assert [pairs[number] for number in listed] == [(where, own) for own in world.manifests[m].blobs]


@pytest.mark.parametrize("bulk", [0, 1_000])
@checked(80)
@given(world=worlds(), data=st.data(), batches=st.integers(1, 3))
def test_rows_and_pairs_are_those_of_dicts(bulk: int, world: World, data: st.DataObject, batches: int) -> None:
    link = st.tuples(st.integers(0, 2), st.integers(0, len(world.manifests) - 1))
    rows, links = ChargeRows(), Links()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charge_rows, "BULK", bulk)
        patch.setattr(charge_rows, "SLICE", 3)
        for _ in range(batches):
            some = data.draw(st.lists(link, max_size=12))
            rows.add_links(world.graph(), *columns(some))
            links += some
            check(rows, world, links)
    # Blobs that no manifest brings, and the same again.
    wanted = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, len(world.sizes) - 1)), max_size=9))
    numbers = rows.add_blobs(world.graph(), *columns(wanted)).tolist()
    pairs = list(zip(*(column.tolist() for column in rows.keys(world.graph())), strict=True))
    assert [pairs[number] for number in numbers] == wanted
    check(rows, world, links)
