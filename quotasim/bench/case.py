"""What is timed: a case is one piece of work, and its contenders are the ways to do it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["SIZES", "Case", "Contender", "Prepared", "Role", "missing"]

Role = Literal["ours", "peer", "limit"]

SIZES: Mapping[str, int] = {"S": 100_000, "M": 10_000_000, "L": 30_000_000, "XL": 100_000_000}
"""References of each size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do a case's work.

    Attributes
    ----------
    name : what does it: ``"quotasim"``, ``"dicts"``, ``"C, prefetching"``.
    role : ``"ours"``; a ``"peer"``, which is what one would use instead, and gives the same answer; or a ``"limit"``,
        what the machine does at best, which may do less.
    run : the work, given what ``setup`` returns.
    setup : makes fresh arguments, outside the clock.
    check : whether an answer is right; a wrong one fails the case.
    rounds : how often it is timed.
    target : how many times as long as ours a peer is expected to take at size M at least; for a limit, what share of
        its speed ours is expected to have. None: nothing is.
    around : what holds while it runs, such as a garbage collector that is switched off.
    needs : modules without which it is left out.
    programs : programs without which it is.
    """

    name: str
    role: Role
    run: Callable[..., Any]
    setup: Callable[[], tuple[Any, ...]]
    check: Callable[[Any], bool]
    rounds: int = 5
    target: float | None = None
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    needs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A case at one size, with all that its contenders start from.

    Attributes
    ----------
    items : how many of the case's unit one run works through.
    bytes : bytes that one run works through, None where bytes are not the point.
    contenders : ours first.
    figures : sizes without which the result is worth nothing.
    """

    items: int
    contenders: tuple[Contender, ...]
    bytes: int | None = None
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A piece of work that is timed.

    Attributes
    ----------
    name : unique, such as ``"replay-namespace"``.
    suite : the subject it belongs to.
    title : what is done, in a few words.
    unit : what is counted, in the plural.
    prepare : makes the case at a size, in references; compiles what it needs. Costs are outside the clock.
    largest : references beyond which it is not run, or None.
    """

    name: str
    suite: str
    title: str
    unit: str
    prepare: Callable[[int], Prepared]
    largest: int | None = None


def missing(contender: Contender) -> tuple[str, ...]:
    """Return the modules and programs that a contender needs and that are not installed."""
    modules = [name for name in contender.needs if importlib.util.find_spec(name) is None]
    return (*modules, *(name for name in contender.programs if shutil.which(name) is None))
