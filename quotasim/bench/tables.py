"""A result as rows for people: ours, peers, limits, ratios."""

from __future__ import annotations

from quotasim.bench.case import SIZES
from quotasim.bench.results import Result, Row
from quotasim.units import format_bytes

__all__ = ["largest_rows", "made_by", "markdown", "markdown_alone", "rate", "ratio", "seconds"]


def seconds(value: float | None) -> str:
    """A time with three digits.

    Examples
    --------
    >>> seconds(1.2468), seconds(0.00041), seconds(None)
    ('1.25 s', '0.41 ms', '')
    """
    if value is None:
        return ""
    return f"{value:.3g} s" if value >= 0.1 else f"{value * 1e3:.3g} ms"


def rate(value: float | None) -> str:
    """A rate with three digits.

    Examples
    --------
    >>> rate(263_456_789), rate(None)
    ('263 M/s', '')
    """
    if value is None:
        return ""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= power:
            return f"{value / power:.3g} {letter}/s"
    return f"{value:.3g} /s"


def ratio(row: Row) -> str:
    """How many times as long as ours a contender took, and what was aimed for.

    Ratios are by best round, with that of the medians beside it.
    """
    if row.absent:
        return f"left out: no {', '.join(row.absent)}"
    if row.slower_by_best is None or row.slower_by_median is None:
        return ""
    found = f"{row.slower_by_best:.3g} ({row.slower_by_median:.3g})"
    if row.target is None:
        return found
    return f"{found}, aimed at {row.target:g}"


def largest_rows(result: Result, *, with_others: bool = False) -> list[Row]:
    """Return the rows of each case at its largest size; with ``with_others`` only of cases with a peer or a limit."""
    size: dict[str, int] = {}
    raced: set[str] = set()
    for row in result.rows:
        size[row.case] = max(size.get(row.case, 0), row.references)
        if row.role != "ours":
            raced.add(row.case)
    return [row for row in result.rows if row.references == size[row.case] and (not with_others or row.case in raced)]


def markdown(result: Result) -> str:
    """Return the table of README: every case with peers or limits, at its largest size.

    Peers take so many times as long as ours; a limit below 1 is faster.
    """
    lines = [
        "| work | by | best round | throughput | times as long as ours (medians) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in largest_rows(result, with_others=True):
        name = {"ours": "**quotasim**", "peer": row.contender, "limit": f"limit: {row.contender}"}[row.role]
        title = row.title if row.role == "ours" else ""
        speed = f"{rate(row.items_per_second)[:-2]} {row.unit}/s" if row.seconds else ""
        lines.append(f"| {title} | {name} | {seconds(row.best)} | {speed} | {ratio(row)} |")
    return "\n".join([*lines, "", made_by(result)])


def markdown_alone(result: Result) -> str:
    """Return a table of the cases without peers or limits, at their largest size."""
    raced = {row.case for row in result.rows if row.role != "ours"}
    lines = [
        "| work | references | best round | median | throughput | memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in largest_rows(result):
        if row.case not in raced:
            memory = "" if row.peak_bytes is None else format_bytes(row.peak_bytes)
            speed = f"{rate(row.items_per_second)[:-2]} {row.unit}/s"
            times = f"{seconds(row.best)} | {seconds(row.median)}"
            lines.append(f"| {row.title} | {row.references:,} | {times} | {speed} | {memory} |")
    return "\n".join(lines)


def made_by(result: Result) -> str:
    """Return the line that says what made a result, when and where."""
    machine = result.machine
    return (
        f"Size {result.size} ({SIZES[result.size]:,} references), {result.computed_at[:10]}: {machine.get('cpu')}, "
        f"{machine.get('usable_cpus')} CPUs, Python {machine.get('python')}, commit {machine.get('commit')}; "
        f"`{result.command}`."
    )
