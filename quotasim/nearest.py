"""Names that look like one that is not there, for messages."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable

_COMPARED_CANDIDATES = 5_000
"""How many candidates are compared letter by letter; more are first narrowed down by prefix."""


def nearest_names(name: str, candidates: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """At most ``n`` of the candidates that look like ``name``, the most alike first.

    Parameters
    ----------
    name : what was asked for.
    candidates : what there is; repeats count once.
    n : how many to return at most.

    Returns
    -------
    Candidates at least 60 % alike by `difflib`; equally alike ones in reverse order of name. May be empty.

    Notes
    -----
    Costs one letter-by-letter comparison for each of at most 5,000 candidates. Of more than that, the 5,000
    which share the longest prefix with ``name`` are compared.

    Examples
    --------
    >>> nearest_names("team-a/wep:v1", ["team-a/web:v1", "team-a/web:v2", "library/redis:7"])
    ('team-a/web:v1', 'team-a/web:v2')
    """
    distinct = set(candidates)
    if len(distinct) > _COMPARED_CANDIDATES:
        compared = heapq.nlargest(
            _COMPARED_CANDIDATES, distinct, key=lambda other: (_common_prefix(name, other), other)
        )
    else:
        compared = sorted(distinct)
    return tuple(difflib.get_close_matches(name, compared, n))


def _common_prefix(one: str, other: str) -> int:
    """How many first letters the two share."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
