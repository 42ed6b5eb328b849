"""Request times from reported runs, and how well they predict a run that was left out.

A report says how long a run took; :mod:`quotasim.gc.cost` says how many requests of which kind it made. The times that
all runs share, one of reading and one of deleting for each kind of store, are those with the least squared error of the
logarithm: twice too long and half as long count the same. No run has a parameter of its own.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.gc.cost import COLLECTORS, CostModel, RunEstimate, StoreTimes, Work, estimate
from quotasim.units import parse_duration

Array = npt.NDArray[Any]

Parameter = tuple[str, Literal["read", "delete"]]
"""A kind of store, and what is asked of it. Listing takes as long as reading: reports do not tell them apart."""

STEPS = 200
COUNTS = ("stored_blobs", "linked_manifests", "blob_links", "manifests", "tags_each", "blobs")
TEXTS = ("run", "registry", "origin", "said", "assumed", "reason")
CHOICES = {
    "source": ("table 9", "elsewhere"),
    "store": ("filesystem", "remote"),
    "collector": tuple(COLLECTORS),
    "phase": ("mark", "sweep", "run"),
    "bound": ("exact", "at least"),
    "fit": ("yes", "no"),
}
WORKERS = ("mark_workers", "sweep_workers")
COLUMNS = (*TEXTS, *CHOICES, *COUNTS, *WORKERS, "reported")
STORES = ("filesystem", "remote", "database")


@dataclass(frozen=True, slots=True)
class Run:
    """One reported run: a row of ``data/gc_runs.csv``.

    Attributes
    ----------
    run : its name, once in the file.
    registry : rows of one registry have the same, and are left out together.
    origin : issue or pull request, with who wrote and when where a thread has several reports.
    source : ``"table 9"`` of the study of registries' semantics, or ``"elsewhere"``.
    phase : what the report timed.
    reported : microseconds.
    bound : ``"at least"``: it had not finished by then.
    fit : whether times are fitted to it. Never to a bound, nor where a count is only a bound.
    said, assumed, reason : what the report says; what it does not and was assumed; why the prediction is far off.
    """

    run: str
    registry: str
    origin: str
    source: str
    store: str
    collector: str
    phase: str
    work: Work
    mark_workers: int
    sweep_workers: int
    reported: int
    bound: str
    fit: bool
    said: str
    assumed: str
    reason: str

    def model(self, times: Mapping[str, StoreTimes]) -> CostModel:
        """Return how its collector went about it, with these times."""
        base = COLLECTORS[self.collector]
        return replace(
            base,
            mark=times["database" if base.mark.name == "database" else self.store],
            sweep=times[self.store],
            mark_workers=self.mark_workers,
            sweep_workers=self.sweep_workers,
        )

    def demand(self) -> dict[Parameter, float]:
        """Return how many requests of each kind one worker made in the phase that was timed."""
        model = self.model({name: StoreTimes(name, 0, 0, 0) for name in STORES})
        found: dict[Parameter, float] = {}
        if self.phase != "sweep":
            asked = model.mark_requests(self.work)
            found[model.mark.name, "read"] = (asked.lists + asked.reads) / self.mark_workers
        if self.phase != "mark":
            reads, deletes = model.sweep_requests(self.work)
            key: Parameter = (model.sweep.name, "read")
            found[key] = found.get(key, 0.0) + reads / self.sweep_workers
            found[model.sweep.name, "delete"] = deletes / self.sweep_workers
        return {key: count for key, count in found.items() if count}


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run as the others predict it.

    Attributes
    ----------
    predicted : microseconds.
    times : of the stores, fitted without the run.
    fitted_to : names of the runs that they were fitted to.
    ratio : predicted to reported.
    agrees : within a factor of ten; for a bound, also anything above it.
    """

    run: Run
    predicted: int
    times: Mapping[str, StoreTimes]
    fitted_to: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Predicted to reported: 1 is exact, 2 twice too long."""
        return self.predicted / self.run.reported

    @property
    def agrees(self) -> bool:
        """Whether it is within an order of magnitude."""
        return self.ratio >= 0.1 and (self.ratio <= 10 or self.run.bound == "at least")


def read_runs(lines: Iterable[str]) -> tuple[Run, ...]:
    """Read reported runs from CSV, such as the open file ``data/gc_runs.csv``.

    Raises
    ------
    InvalidValue : a column is missing, a value is not of its kind, a name is there twice, or a bound is to be fitted.

    Examples
    --------
    Two registries that are walked, 600,000 listings in 8 hours and 500 in 50 seconds. Each predicts the other with its
    own time for a listing, 48 and 100 ms; together they give the geometric mean.

    >>> common = {"source": "table 9", "store": "remote", "collector": "zot", "phase": "mark", "bound": "exact"}
    >>> common |= {"fit": "yes", "mark_workers": "1", "sweep_workers": "1"}
    >>> walks = [("a", "600000", "8h"), ("b", "500", "50s")]
    >>> rows = [common | {"run": n, "registry": n, "stored_blobs": k, "reported": t} for n, k, t in walks]
    >>> runs = read_runs([",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in rows)])
    >>> [predict(run, runs).predicted for run in runs]
    [60000000000, 24000000]
    >>> calibrate(runs)[0]["remote"].read
    69282
    """
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InvalidValue("columns", reader.fieldnames, ", ".join(COLUMNS))
    runs = tuple(_run(row) for row in reader)
    names = [run.run for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue("run", name, "a name that no other run has")
    return runs


def _run(row: dict[str, str]) -> Run:
    for name, allowed in CHOICES.items():
        if row[name] not in allowed:
            raise InvalidValue(name, row[name], " or ".join(allowed))
    for name in (*COUNTS, *WORKERS):
        if not re.fullmatch("[1-9][0-9]{0,17}" if name in WORKERS else "[0-9]{0,18}", row[name]):
            raise InvalidValue(name, row[name], "digits")
    reported = parse_duration(row["reported"], name="reported")
    if reported == 0:
        raise InvalidValue("reported", row["reported"], "longer than nothing")
    if row["bound"] == "at least" and row["fit"] == "yes":
        raise InvalidValue("fit", row["fit"], "no where the report is a bound")
    texts = {name: row[name] for name in (*TEXTS, "source", "store", "collector", "phase", "bound")}
    return Run(
        **texts,
        work=Work.of_counts(**{name: int(row[name] or 0) for name in COUNTS}),
        mark_workers=int(row["mark_workers"]),
        sweep_workers=int(row["sweep_workers"]),
        reported=reported,
        fit=row["fit"] == "yes",
    )


def fit(runs: Sequence[Run]) -> dict[Parameter, float]:
    """Return the times, in microseconds, that lie nearest to all runs.

    Returns
    -------
    For each parameter that any run depends on. Empty for no runs.

    Notes
    -----
    Gauss-Newton on logarithms, halving a step that does not help; from the geometric mean of time per request.
    Deterministic. Where runs cannot tell two parameters apart, they get the change of least norm.
    """
    demands = [run.demand() for run in runs]
    names = sorted({name for demand in demands for name in demand})
    if not names:
        return {}
    counts = np.array([[demand.get(name, 0.0) for name in names] for demand in demands])
    reported = np.log([float(run.reported) for run in runs])

    def errors(logs: Array) -> Array:
        with np.errstate(all="ignore"):  # a step may be far too long: infinite, or not a number
            return np.asarray(np.log(counts @ np.exp(logs)) - reported)

    logs = np.full(len(names), np.mean(reported - np.log(counts.sum(axis=1))))
    for _ in range(STEPS):
        error = errors(logs)
        spent = counts * np.exp(logs)
        step = np.linalg.lstsq(spent / spent.sum(axis=1, keepdims=True), -error, rcond=None)[0]
        while np.abs(step).max() > 1e-10 and not np.sum(errors(logs + step) ** 2) <= np.sum(error**2):
            step = step / 2
        logs = logs + step
        if np.abs(step).max() <= 1e-10:
            break
    return dict(zip(names, np.exp(logs).tolist(), strict=True))


def calibrate(runs: Sequence[Run], needed: Iterable[Parameter] = ()) -> tuple[dict[str, StoreTimes], tuple[Run, ...]]:
    """Return times of the stores, and the runs that they are fitted to.

    Those of table 9; the others only for a parameter that is needed and that no run of the table has.

    Parameters
    ----------
    needed : what must be known; all that any run to be fitted depends on, if empty.

    Raises
    ------
    InvalidValue : no run tells a parameter that is needed.
    """
    usable = [run for run in runs if run.fit]
    wanted = set(needed) or {name for run in usable for name in run.demand()}
    chosen = [run for run in usable if run.source == "table 9"]
    missing = wanted - {name for run in chosen for name in run.demand()}
    chosen += [run for run in usable if run not in chosen and missing & run.demand().keys()]
    found = fit(chosen)
    for name in sorted(wanted):
        if name not in found:
            raise InvalidValue("runs", [run.run for run in chosen], f"runs that tell the time of {' '.join(name)}")
    times = {}
    for store in STORES:
        read, delete = (round(found.get((store, what), 0.0)) for what in ("read", "delete"))
        times[store] = StoreTimes(store, list=read, read=read, delete=delete)
    return times, tuple(chosen)


def predict(run: Run, runs: Sequence[Run]) -> Prediction:
    """Return how long a run takes by what the others show: those of its own registry are left out.

    Raises
    ------
    InvalidValue : the others do not tell a parameter that the run depends on.
    """
    others = [other for other in runs if other.registry != run.registry]
    times, used = calibrate(others, run.demand())
    found = estimate(run.work, run.model(times))
    return Prediction(run, _timed(found, run.phase), times, tuple(other.run for other in used))


def spread(predictions: Sequence[Prediction]) -> float:
    """Return the typical factor between predicted and reported: the median, whichever is larger, 1 or more.

    Raises
    ------
    InvalidValue : no prediction of a run that is reported exactly.
    """
    factors = [abs(math.log(each.ratio)) for each in predictions if each.run.bound == "exact"]
    if not factors:
        raise InvalidValue("predictions", predictions, "some of runs that are reported exactly")
    return float(np.exp(np.median(factors)))


def _timed(found: RunEstimate, phase: str) -> int:
    return {"mark": found.mark, "sweep": found.sweep, "run": found.total}[phase]
