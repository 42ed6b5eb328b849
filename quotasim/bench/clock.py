"""The clock: contenders are timed in turns, each on fresh arguments and warm memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quotasim.bench.case import Contender, Prepared, missing
from quotasim.errors import WrongAnswer

__all__ = ["Timing", "race", "time_once", "warm_memory"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"

MOST_WARM_BYTES = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """How one contender did.

    Attributes
    ----------
    contender : which.
    seconds : of each round; empty where it was left out.
    peak_bytes : by how much the process grew in its first round, at most; None where the system does not say.
    absent : modules that it needs and that are not installed.
    """

    contender: Contender
    seconds: tuple[float, ...]
    peak_bytes: int | None = None
    absent: tuple[str, ...] = ()

    @property
    def best(self) -> float:
        """The shortest round."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.seconds)


def warm_memory(size: int) -> None:
    """Have the machine give memory of ``size`` bytes, and give it back at once.

    A virtual machine hands memory that was free for seconds back to its host, and waits when it is asked for again:
    2 s a GB were seen. A contender that runs every tenth second would pay for that, one that runs in a row would not.
    """
    np.ones(min(size, MOST_WARM_BYTES), np.uint8)


def time_once(contender: Contender, warm_bytes: int = 0) -> tuple[float, Any]:
    """Run a contender once; returns (seconds, its answer)."""
    arguments = contender.setup()
    warm_memory(warm_bytes)
    start = time.perf_counter()
    answer = contender.run(*arguments)
    return time.perf_counter() - start, answer


def race(prepared: Prepared, *, warm_bytes: int = 0, rounds: int | None = None) -> list[Timing]:
    """Time all contenders of a case in turns, and check each one's first answer.

    Ours runs once before each round of another, so that what else the machine does slows both.

    Parameters
    ----------
    warm_bytes : memory that is asked for before each round.
    rounds : instead of each contender's own number.

    Returns
    -------
    One timing a contender, ours first.

    Raises
    ------
    WrongAnswer : a contender's answer is not right.
    """
    ours, *others = prepared.contenders
    times: dict[str, list[float]] = {contender.name: [] for contender in prepared.contenders}
    peaks = {}
    absent = {contender.name: missing(contender) for contender in prepared.contenders}

    def turn(contender: Contender) -> None:
        gc.collect()
        first = not times[contender.name]
        with contender.around():
            if first:
                resident = _peak_from_here()
            seconds, answer = time_once(contender, warm_bytes if not first else 0)
            if first:
                peaks[contender.name] = _grown_by(resident)
        if first and not contender.check(answer):
            raise WrongAnswer(contender.name)
        times[contender.name].append(seconds)

    turn(ours)
    for contender in others:
        if absent[contender.name]:
            continue
        for _ in range(rounds or contender.rounds):
            turn(ours)
            turn(contender)
    while len(times[ours.name]) < (rounds or ours.rounds):
        turn(ours)
    return [
        Timing(contender, tuple(times[contender.name]), peaks.get(contender.name), absent[contender.name])
        for contender in prepared.contenders
    ]


def _peak_from_here() -> int | None:
    """Have the system count the peak anew, and return what is resident now."""
    with suppress(OSError):
        _CLEAR.write_text(_CLEAR_PEAK)
        return _kilobytes("VmRSS")
    return None


def _grown_by(resident: int | None) -> int | None:
    """Return the peak since, in bytes above what was resident then."""
    return None if resident is None else max(_kilobytes("VmHWM") - resident, 0) * 1024


def _kilobytes(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def in_turns(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return how many times as long ``one`` takes as ``other``: by best round, and by median."""
    return min(one) / min(other), statistics.median(one) / statistics.median(other)
