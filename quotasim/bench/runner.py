"""Running a suite: each case at the size asked for, and at the decades below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from quotasim.bench.case import SIZES, Case
from quotasim.bench.clock import MOST_WARM_BYTES, Timing, in_turns, race
from quotasim.bench.machine import machine_info
from quotasim.bench.results import Result, Row
from quotasim.errors import InvalidValue

__all__ = ["SMALLEST", "run", "run_case", "sizes_up_to"]

SMALLEST = 10_000
"""References of the smallest size of a curve."""


def sizes_up_to(references: int) -> list[int]:
    """Return the decades from the smallest size on, and the size itself.

    Examples
    --------
    >>> sizes_up_to(30_000_000)
    [10000, 100000, 1000000, 10000000, 30000000]
    """
    found, size = [], SMALLEST
    while size < references:
        found.append(size)
        size *= 10
    return [*found, references]


def run(
    cases: Iterable[Case],
    size: str,
    *,
    command: str,
    curve: bool = True,
    peers: bool = True,
    rounds: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run cases and return what they measured.

    Parameters
    ----------
    size : ``"S"``, ``"M"``, ``"L"`` or ``"XL"``.
    command : what to write down as the command that made it.
    curve : whether to run the decades below the size, too.
    peers : whether to run peers: at 10^8 references most of them do not fit into memory.
    rounds : of every contender, instead of its own number.
    progress : told what runs next.

    Raises
    ------
    InvalidValue : an unknown size.
    WrongAnswer : a contender's answer is not right.
    """
    if size not in SIZES:
        raise InvalidValue("size", size, f"one of {', '.join(SIZES)}")
    wanted = sizes_up_to(SIZES[size]) if curve else [SIZES[size]]
    rows: list[Row] = []
    chosen = list(cases)
    # Size by size: what several cases start from is made once for each size.
    for references in wanted:
        for case in chosen:
            if case.largest is not None and references > case.largest:
                continue
            progress(f"{case.title}, {references:,} references")
            rows += run_case(case, references, peers=peers, rounds=rounds)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Result(machine=machine_info(), command=command, computed_at=now, size=size, rows=tuple(rows))


def run_case(case: Case, references: int, *, peers: bool = True, rounds: int | None = None) -> list[Row]:
    """Run one case at one size, with its peers or without; returns a row a contender.

    Raises
    ------
    WrongAnswer : a contender's answer is not right.
    """
    prepared = case.prepare(references)
    if not peers:
        prepared = replace(prepared, contenders=tuple(one for one in prepared.contenders if one.role != "peer"))
    warm = round(MOST_WARM_BYTES * references / SIZES["M"])
    timings = race(prepared, warm_bytes=warm, rounds=rounds)
    return rows_of(case, references, timings, items=prepared.items, size=prepared.bytes, figures=prepared.figures)


def rows_of(
    case: Case, references: int, timings: Sequence[Timing], *, items: int, size: int | None, figures: Mapping[str, int]
) -> list[Row]:
    """Turn the timings of a case into rows."""
    ours = timings[0]
    rows = []
    for timing in timings:
        best, median = (None, None)
        if timing is not ours and timing.seconds:
            best, median = in_turns(timing.seconds, ours.seconds)
        rows.append(
            Row(
                case=case.name,
                suite=case.suite,
                title=case.title,
                unit=case.unit,
                references=references,
                contender=timing.contender.name,
                role=timing.contender.role,
                items=items,
                bytes=size,
                seconds=timing.seconds,
                peak_bytes=timing.peak_bytes,
                slower_by_best=best,
                slower_by_median=median,
                target=timing.contender.target,
                absent=timing.absent,
                figures=dict(figures),
            )
        )
    return rows
