"""The cases, by suite."""

from __future__ import annotations

from quotasim.bench.case import Case
from quotasim.bench.cases import branch, collect, content, digests, mark, replay, sharing, tables, workloads
from quotasim.errors import InvalidValue

CASES: tuple[Case, ...] = (
    *digests.CASES,
    *replay.CASES,
    *mark.CASES,
    *collect.CASES,
    *sharing.CASES,
    *branch.CASES,
    *tables.CASES,
    *content.CASES,
    *workloads.CASES,
)
SUITES: tuple[str, ...] = tuple(dict.fromkeys(case.suite for case in CASES))


def by_name(name: str) -> Case:
    """Return a case.

    Raises
    ------
    InvalidValue : there is none of this name.

    Examples
    --------
    >>> by_name("replay-namespace").suite
    'replay'
    """
    found = {case.name: case for case in CASES}
    if name not in found:
        raise InvalidValue("case", name, f"one of {', '.join(found)}")
    return found[name]


def of_suite(suite: str | None) -> tuple[Case, ...]:
    """Return the cases of a suite, or all.

    Raises
    ------
    InvalidValue : there is no such suite.
    """
    if suite is not None and suite not in SUITES:
        raise InvalidValue("suite", suite, f"one of {', '.join(SUITES)}")
    return tuple(case for case in CASES if suite in (None, case.suite))
