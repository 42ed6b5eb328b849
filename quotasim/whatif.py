"""What if: branches of one registry, each changed in its own way, that live through the same operations.

All branches are given the same operations at the same times, and draw what their kind leaves to chance from the same
seed: what differs in the end comes from what was changed, not from luck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quotasim import deletion, frames
from quotasim.errors import InvalidValue, TimeReversed
from quotasim.importers.load_trace import LoadedTrace, Player
from quotasim.profiles import by_name
from quotasim.profiles.base import DEFAULT_POLICY
from quotasim.registry import Registry, as_trace
from quotasim.retention.evaluate import Evaluator
from quotasim.retention.rules import RetentionPolicy
from quotasim.units import parse_duration, parse_size, parse_time, whole_number

if TYPE_CHECKING:
    import os

    import pandas as pd

    from quotasim.gc.policy import GcPolicy
    from quotasim.importers.trace_table import TraceTable
    from quotasim.profiles.base import RegistryProfile

Array = npt.NDArray[Any]

__all__ = ["BASE", "Runs", "Scenario", "compare", "costs", "run_scenarios"]

BASE = "as it is"
"""What the branch is called that nothing is changed in."""

UNTAGGED_TOO = "delete-untagged"
"""The policy of a collector that can be told to take what is untagged."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is changed in a branch before it lives on; by default nothing.

    Attributes
    ----------
    profile : another registry kind, by name or as a profile: the same content under its rules.
    limit : bytes that every scope may be charged, an int or ``"500 GiB"``; ``"none"``: no limit; None: as it is.
    gc : what the kind's collector treats as garbage, in scheduled runs too, where it does not collect by itself: the
        name of one of the kind's policies, or a :class:`GcPolicy`.
    gc_every : time between two runs of the collector, such as ``"7d"``, for a kind that does not collect by itself;
        ``"never"``: no runs; None: as it is.
    gc_first : time of the first run; by default one interval from the beginning.
    retention : a policy that is applied at intervals.
    retention_every : the interval; the first time is one interval from the beginning.
    change : a function that is given the branch before anything else happens, for whatever has no setting here.

    Raises
    ------
    InvalidValue : ``gc_first`` without runs.

    Examples
    --------
    >>> from quotasim import KeepNewest, RetentionPolicy
    >>> Scenario(retention=RetentionPolicy([KeepNewest(10)]), limit="100 GiB").retention_every
    '1d'
    """

    profile: str | RegistryProfile | None = None
    limit: int | str | None = None
    gc: str | GcPolicy | None = None
    gc_every: str | None = None
    gc_first: str | datetime | None = None
    retention: RetentionPolicy | None = None
    retention_every: str = "1d"
    change: Callable[[Registry], object] | None = None

    def __post_init__(self) -> None:
        if self.limit not in (None, "none"):
            parse_size(self.limit, name="limit")
        if self.gc_first is not None and self.gc_every in (None, "never"):
            raise InvalidValue("gc_first", str(self.gc_first), "None where no runs are scheduled")
        if self.retention is not None and not isinstance(self.retention, RetentionPolicy):
            raise InvalidValue("retention", self.retention, "a RetentionPolicy or None")
        if parse_duration(self.retention_every, name="retention_every") < 1:
            raise InvalidValue("retention_every", self.retention_every, "a duration above 0")

    @classmethod
    def under(cls, profile: str | RegistryProfile, *, gc_every: str = "7d", **settings: Any) -> Scenario:
        """Return another registry kind as it is usually run: where it does not collect by itself its collector runs at
        intervals, and takes what is untagged too where it can be told to.

        Parameters
        ----------
        gc_every : the interval; without meaning where the kind collects by itself.
        settings : others of the scenario; they go before what is usual.

        Raises
        ------
        UnknownProfile : there is no such kind.

        Examples
        --------
        >>> Scenario.under("distribution-2.8").gc, Scenario.under("acr-premium").gc_every
        ('delete-untagged', None)
        """
        kind = by_name(profile) if isinstance(profile, str) else profile
        usual: dict[str, Any] = {}
        if kind.collection == "manual":
            usual["gc_every"] = gc_every
            usual["gc"] = UNTAGGED_TOO if UNTAGGED_TOO in kind.gc_policies else None
        return cls(profile=kind, **usual | settings)

    def branch_of(self, base: Registry, name: str) -> Registry:
        """Return a branch of a registry with these settings, before ``change``; the registry stays as it is.

        O(columns); O(references) for another kind.
        """
        branch = base.branch(name) if self.profile is None else base.under(self.profile)
        branch.name = name
        engine = branch.engine
        engine.seed = base.engine.seed
        if self.limit is not None:
            limit = None if self.limit == "none" else parse_size(self.limit, name="limit")
            engine.profile = replace(engine.profile, limit=limit, included=None)
            engine.ledger.limit_all(limit)
        if self.gc is not None:
            if branch.profile.collection == "automatic":
                raise InvalidValue("gc", str(self.gc), "None: this kind collects by itself")
            engine.profile = replace(engine.profile, gc=branch.gc_policy(self.gc))
            if engine.schedule is not None:
                engine.schedule = replace(engine.schedule, policy=DEFAULT_POLICY)
        if self.gc_every is not None:
            every = None if self.gc_every == "never" else self.gc_every
            branch.schedule_gc(every, first=self.gc_first)
        return branch


@dataclass(frozen=True, slots=True)
class Runs:
    """What became of the branches.

    Attributes
    ----------
    usage : one tidy frame: ``scenario``, ``figure``, ``at``, ``bytes``, ``max_bytes``; of
        :func:`quotasim.frames.scenarios`.
    registries : the branches by name, as they are in the end; the first is the base, in which nothing was changed.
    outcomes : the figures that :func:`compare` compares, by name.
    bills : what the charge cost over the whole time, and in which currency, by name; None where the kind has no price.
    base : the name of the base.
    """

    usage: pd.DataFrame
    registries: Mapping[str, Registry] = field(repr=False)
    outcomes: Mapping[str, list[int]] = field(repr=False)
    bills: Mapping[str, tuple[Decimal, str] | None] = field(repr=False)
    base: str = BASE


def run_scenarios(
    base: Registry,
    scenarios: Mapping[str, Scenario | Callable[[Registry], object]],
    *,
    operations: TraceTable | str | os.PathLike[str] | Callable[[int], TraceTable] | None = None,
    until: str | datetime | None = None,
    every: str | None = None,
    seed: int | None = None,
    named: str = BASE,
) -> Runs:
    """Let branches of a registry live through the same operations, each changed in its own way, beside one as it is.

    Parameters
    ----------
    base : where all begin; it is not changed.
    scenarios : by name what is changed; a function is given the branch, as ``Scenario(change=...)`` is.
    operations : what happens to all: a trace, or one that :mod:`quotasim.workloads` makes, none of it before the
        base's time; or a function that is called once with ``seed``. None: nothing but what time brings.
    until : when it ends, by default with the last operation; operations after it do not happen.
    every : None: the frame has a row for each change; ``"1d"``: a row at the end of each interval.
    seed : of what the kinds leave to chance, for all of them, and of ``operations``; None: the base's.
    named : what the branch is called that nothing is changed in.

    Returns
    -------
    Runs.

    Raises
    ------
    InvalidValue : neither ``operations`` nor ``until`` is given; a scenario has the name of the base's own branch; a
        setting is wrong.
    TimeReversed : the operations begin, or ``until`` lies, before the base's time.
    InputRejected : the trace has faults.

    Notes
    -----
    What falls on one time happens in this order: operations, and what falls due; retention; a scheduled run of the
    collector. Content is loaded once for all branches. O(references + branches * operations).

    Examples
    --------
    >>> from quotasim import Blob, Image, KeepNewest, RetentionPolicy, workloads
    >>> base = Registry("acr-premium", start="2026-01-01")
    >>> runs = run_scenarios(
    ...     base,
    ...     {"keep 5": Scenario(retention=RetentionPolicy([KeepNewest(5)]))},
    ...     operations=workloads.releases(seed=1),
    ...     every="7d",
    ... )
    >>> table = compare(runs).set_index(["scenario", "figure"])
    >>> bool(table.loc[("keep 5", "charged_bytes"), "difference"] < 0)
    True
    """
    if not isinstance(scenarios, Mapping):
        raise InvalidValue("scenarios", scenarios, "scenarios by their names, {name: Scenario(...)}")
    if named in scenarios:
        raise InvalidValue("scenarios", named, "other names: this one is the branch that nothing is changed in")
    if operations is None and until is None:
        raise InvalidValue("until", until, "a time, where there are no operations")
    interval = None if every is None else parse_duration(every, name="every")
    if interval is not None and interval < 1:
        raise InvalidValue("every", every, "a duration above 0, or None")
    origin = base.branch(named)
    if seed is not None:
        origin.engine.seed = whole_number(seed, name="seed", expected="0 to 2**31 - 1, or None", most=2**31 - 1)
    loaded = _loaded(origin, operations)
    end = _end(origin, loaded, until)
    chosen = {named: Scenario()}
    for name, scenario in scenarios.items():
        if not (isinstance(scenario, Scenario) or callable(scenario)):
            raise InvalidValue("scenarios", scenario, "Scenarios, or functions that are given the branch")
        chosen[name] = scenario if isinstance(scenario, Scenario) else Scenario(change=scenario)
    registries, steps, outcomes, bills = {}, {}, {}, {}
    for name, scenario in chosen.items():
        branch = scenario.branch_of(origin, name)
        start = frames.Start.of(branch.engine)
        if scenario.change is not None:
            scenario.change(branch)
        _live(branch, scenario, None if loaded is None else loaded.on(branch.engine), start.at, end)
        registries[name] = branch
        steps[name] = frames.steps_since(branch.engine, start)
        damaged = len(branch.damage())
        outcomes[name] = frames.outcome(branch.engine, start, steps[name], end, damaged=damaged)
        bills[name] = _bill(branch, *steps[name]["charged"], end)
    return Runs(
        frames.scenarios(steps, end, interval),
        MappingProxyType(registries),
        MappingProxyType(outcomes),
        MappingProxyType(bills),
        named,
    )


def compare(runs: Runs, base: str | None = None) -> pd.DataFrame:
    """Return what the scenarios come to, and by how much that differs from one of them.

    Parameters
    ----------
    runs : of :func:`run_scenarios`.
    base : the scenario that the others are compared with, by default the one in which nothing was changed.

    Returns
    -------
    A frame of :func:`quotasim.frames.differences`: ``scenario``, ``figure``, ``unit``, ``value``, ``base_value``,
    ``difference``, ``difference_percent``.

    Raises
    ------
    InvalidValue : there is no scenario of this name.
    """
    return frames.differences(runs.outcomes, _base_of(runs, base))


def costs(runs: Runs, base: str | None = None) -> pd.DataFrame:
    """Return what the charge of each scenario costs from the beginning to the end, and how much more that is.

    Parameters
    ----------
    runs, base : as of :func:`compare`.

    Returns
    -------
    A frame of :func:`quotasim.frames.costs`: ``scenario``, ``currency``, ``cost``, ``base_cost``, ``difference``.

    Raises
    ------
    InvalidValue : there is no scenario of this name.

    Notes
    -----
    By the price of the kind, which :class:`quotasim.Price` explains: what it includes is so at each time, not in the
    mean. Copies that are billed are taken to have been there all the time.

    Examples
    --------
    >>> base = Registry("acr-basic", start="2026-01-01")
    >>> runs = run_scenarios(base, {"premium": Scenario(profile="acr-premium")}, until="2026-01-31")
    >>> costs(runs)[["scenario", "cost", "difference"]].to_csv(index=False).splitlines()[1:]
    ['as it is,5.010000,0.000000', 'premium,50.010000,45.000000']
    """
    return frames.costs(runs.bills, _base_of(runs, base))


def _base_of(runs: Runs, base: str | None) -> str:
    """Return the scenario that the others are compared with."""
    other = runs.base if base is None else base
    if other not in runs.outcomes:
        raise InvalidValue("base", other, f"one of {', '.join(runs.outcomes)}")
    return other


def _bill(branch: Registry, time: Array, charged: Array, end: int) -> tuple[Decimal, str] | None:
    """Return what a branch's charge costs over time, and in which currency."""
    profile = branch.profile
    if profile.price is None:
        return None
    copies = branch.engine.replicas if profile.replicas == "billed" else 1
    return profile.price.bill_over(charged, np.diff(time, append=end), copies), profile.price.currency


def _loaded(
    origin: Registry, operations: TraceTable | str | os.PathLike[str] | Callable[[int], TraceTable] | None
) -> LoadedTrace | None:
    """Return the operations, their content in the registry's catalogue."""
    if operations is None:
        return None
    trace = as_trace(operations(origin.engine.seed or 0) if callable(operations) else operations)
    if trace.time.size and int(trace.time[0]) < origin.now:
        raise TimeReversed(origin.now, int(trace.time[0]))
    return LoadedTrace(trace, origin.engine)


def _end(origin: Registry, loaded: LoadedTrace | None, until: str | datetime | None) -> int:
    """Return when it ends."""
    if until is None:
        assert loaded is not None
        return int(loaded.time[-1]) if loaded.time.size else origin.now
    end = parse_time(until, name="until")
    if end < origin.now:
        raise TimeReversed(origin.now, end)
    return end


def _live(branch: Registry, scenario: Scenario, player: Player | None, begin: int, end: int) -> None:
    """Let a branch live to the end, with retention at intervals from where all of them begin."""
    if scenario.retention is not None:
        every = parse_duration(scenario.retention_every)
        evaluator = Evaluator(scenario.retention, tags_must_stay=branch.profile.immutable_tags == "keep")
        for at in range(begin + every, end + 1, every):
            if at <= branch.now:
                continue  # what was changed took its time
            branch.let_pass(at - 1, player)
            # A run that is due at the same time comes after it.
            branch.reach(at, player)
            engine = branch.engine
            engine.sync()
            deletion.retain(engine, evaluator.select(engine.content, engine.names, engine.state, engine.log))
    branch.let_pass(end, player)
