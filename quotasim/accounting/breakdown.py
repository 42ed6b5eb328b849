"""Where the bytes of a deletion stay: from what goes, each manifest on its own, to what the charge loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from quotasim.accounting.basis import pair_keys, scope_of_repositories, sorted_once
from quotasim.accounting.ledger import Ledger
from quotasim.kernels import layout
from quotasim.model.content import Content, named_blobs
from quotasim.model.names import Names
from quotasim.model.state import State
from quotasim.model.totals import exact_sum

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Bytes of manifests that go, and of these what the charge keeps; exact ints.

    ``logical_bytes - repeated_bytes - uncharged_bytes - shared_bytes - kept_bytes`` is what the charge loses of them.

    Attributes
    ----------
    logical_bytes : each link's distinct blobs, as if nothing were shared.
    repeated_bytes : of these, what several of them have in common: a scope counts it once.
    uncharged_bytes : of the rest, what the scope was not charged for.
    shared_bytes : of the rest, what stays charged and other linked manifests hold.
    kept_bytes : of the rest, what stays charged although no linked manifest holds it.
    """

    logical_bytes: int
    repeated_bytes: int
    uncharged_bytes: int
    shared_bytes: int
    kept_bytes: int

    @property
    def freed_bytes(self) -> int:
        """What the charge loses of the bytes that go."""
        kept = self.repeated_bytes + self.uncharged_bytes + self.shared_bytes + self.kept_bytes
        return self.logical_bytes - kept


def break_down(
    content: Content,
    names: Names,
    links: Array,
    before: tuple[Ledger, State],
    after: tuple[Ledger, State],
    *,
    counts_foreign: bool,
) -> Breakdown:
    """Return where the bytes of some links stay.

    Parameters
    ----------
    links : rows of the links that go, each once.
    before, after : what is charged and what is held while they are there, and when they have gone.
    counts_foreign : whether the kind charges foreign layers.

    Notes
    -----
    O(descriptors of the links); where the charging rule has counts of its own, O(pairs) once after a bulk load.
    """
    graph, ledger = content.graph(), before[0]
    manifests = names.links.second[links]
    scopes = scope_of_repositories(names, ledger.scope, names.links.first[links])
    place, blobs, _ = named_blobs(content, manifests)
    keys = sorted_once(pair_keys(scopes[place], blobs))
    scope, blob = keys >> layout.WORD, keys & layout.WORD_MASK
    was, stays = (
        one.charges(graph, state, scope, blob, counts_foreign=counts_foreign) for one, state in (before, after)
    )
    held = after[1].read("holders")[blob] > 0
    size = graph.size[blob]
    logical = exact_sum(graph.logical[manifests])
    return Breakdown(
        logical_bytes=logical,
        repeated_bytes=logical - exact_sum(size),
        uncharged_bytes=exact_sum(size[~was]),
        shared_bytes=exact_sum(size[was & stays & held]),
        kept_bytes=exact_sum(size[was & stays & ~held]),
    )
