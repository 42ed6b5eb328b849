"""Results of a run: as rows, as JSON, and two of them compared."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from quotasim.bench.case import Role
from quotasim.errors import InputRejected, InvalidValue, Problem
from quotasim.importers.traces import whole_file

__all__ = ["SCHEMA_VERSION", "Change", "Result", "Row", "compare", "read_result", "write_result"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender of one case at one size.

    Attributes
    ----------
    case, suite, title, unit : of the case.
    references : the size asked for.
    contender, role : which way to do it.
    items, bytes : worked through in one run, None where bytes are not the point.
    seconds : of each round; empty where it was left out.
    peak_bytes : by how much the process grew in the first round; None where the system does not say.
    slower_by_best, slower_by_median : for a peer or a limit, how many times as long as ours it took, best round by best
        round and median by median; None for ours.
    target : what ``slower_by_best`` should be: at least for a peer, at least of a limit (a share below 1).
    absent : modules without which it was left out.
    figures : sizes of what was worked on.
    """

    case: str
    suite: str
    title: str
    unit: str
    references: int
    contender: str
    role: Role
    items: int
    bytes: int | None
    seconds: tuple[float, ...]
    peak_bytes: int | None
    slower_by_best: float | None
    slower_by_median: float | None
    target: float | None
    absent: tuple[str, ...] = ()
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """The shortest round in seconds, or None."""
        return min(self.seconds, default=None)

    @property
    def median(self) -> float | None:
        """The middle round in seconds, or None."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def items_per_second(self) -> float | None:
        """Of the shortest round."""
        return None if self.best is None else self.items / self.best

    @property
    def bytes_per_second(self) -> float | None:
        """Of the shortest round, where bytes are the point."""
        return None if self.best is None or self.bytes is None else self.bytes / self.best


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run of a suite.

    Attributes
    ----------
    machine : where it ran (:func:`quotasim.bench.machine.machine_info`).
    command : what made it.
    computed_at : ISO time of its end, UTC.
    size : the size asked for.
    rows : one a contender, case and size.
    """

    machine: dict[str, Any]
    command: str
    computed_at: str
    size: str
    rows: tuple[Row, ...]


def write_result(result: Result, path: Path) -> None:
    """Write a result as JSON, whole or not at all.

    Raises
    ------
    OSError : it cannot be written.
    """
    document = {"schema_version": SCHEMA_VERSION, **asdict(result)}
    with whole_file(path) as file:
        file.write(json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


def read_result(path: str | os.PathLike[str]) -> Result:
    """Read a result.

    Raises
    ------
    InputRejected : the file is no result of this version.
    """
    place = Path(path)
    try:
        document = json.loads(place.read_bytes())
        if not isinstance(document, dict) or document.pop("schema_version", None) != SCHEMA_VERSION:
            raise _rejected(place, f"is no result of schema version {SCHEMA_VERSION}")
        rows = tuple(
            Row(**{**row, "seconds": tuple(row["seconds"]), "absent": tuple(row["absent"])})
            for row in document.pop("rows")
        )
        return Result(**document, rows=rows)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _rejected(place, f"cannot be read: {type(error).__name__}") from error


def _rejected(path: Path, reason: str) -> InputRejected:
    return InputRejected([Problem(path.name, None, None, reason)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How ours did in two runs of one case at one size.

    Attributes
    ----------
    case, references : which.
    before, after : best rounds in seconds.
    drift : how many times as long the same peers and limits took in the second run: the machine's doing. 1 where the
        case has none in common.
    change : ``after / before / drift``: above 1 it has become slower.
    """

    case: str
    references: int
    before: float
    after: float
    drift: float
    change: float


def compare(before: Result, after: Result) -> list[Change]:
    """Compare ours in two results, case by case and size by size, in the order of the first.

    A peer that is as it was tells how much slower the machine is: each change is divided by the median of theirs. Where
    a case has neither peers nor limits in common, it is that of all cases.

    Raises
    ------
    InvalidValue : the two have no case in common.
    """
    others = [row for row in before.rows if row.role != "ours"]
    drifts = _drifts(others, after)
    overall = statistics.median(drifts.values()) if drifts else 1.0
    found = []
    for row in before.rows:
        match = _match(row, after)
        if row.role != "ours" or match is None or row.best is None or match.best is None:
            continue
        own = [value for (case, size, _), value in drifts.items() if (case, size) == (row.case, row.references)]
        drift = statistics.median(own) if own else overall
        change = match.best / row.best / drift
        found.append(
            Change(
                case=row.case,
                references=row.references,
                before=row.best,
                after=match.best,
                drift=drift,
                change=change,
            )
        )
    if not found:
        raise InvalidValue("results", "two without a case in common", "results of the same suite and size")
    return found


def _match(row: Row, other: Result) -> Row | None:
    """Return the row of another result that stands for the same thing."""
    key = (row.case, row.references, row.contender)
    return next((found for found in other.rows if (found.case, found.references, found.contender) == key), None)


def _drifts(rows: Sequence[Row], after: Result) -> dict[tuple[str, int, str], float]:
    """Return how many times as long each peer and limit took later."""
    found = {}
    for row in rows:
        match = _match(row, after)
        if match is not None and row.best is not None and match.best is not None:
            found[row.case, row.references, row.contender] = match.best / row.best
    return found
