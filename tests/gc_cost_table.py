"""The tables of docs/gc-cost.md, made from data/gc_runs.csv: ``python -m tests.gc_cost_table`` writes them anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from quotasim.gc.calibration import Prediction, Run, calibrate, predict, read_runs, spread

from . import pages
from .pages import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gc-cost.md"
RUNS = ROOT / "data" / "gc_runs.csv"
UNITS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))


def rough(microseconds: int) -> str:
    """Return a duration in the largest unit of which it has one and a half, to two digits or all before the point."""
    unit, name = next(((size, name) for size, name in UNITS if microseconds >= 1.5 * size), UNITS[-1])
    value = microseconds / unit
    return f"{value:.0f} {name}" if value >= 9.95 else f"{value:.1f} {name}"


def factor(each: Prediction) -> str:
    """Return how far off a prediction is, in words."""
    ratio = max(each.ratio, 1 / each.ratio)
    shown = f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}"
    if each.run.bound == "at least":
        return "above the bound" if each.ratio >= 1 else f"{shown} below the bound"
    return f"{shown} too {'long' if each.ratio > 1 else 'short'}"


def rows(predictions: Iterable[Prediction]) -> list[tuple[str, ...]]:
    """Return the table's rows."""
    return [
        (
            each.run.run,
            each.run.said,
            each.run.assumed or "nothing",
            ("> " if each.run.bound == "at least" else "") + rough(each.run.reported),
            rough(each.predicted),
            factor(each) + ("" if each.agrees else " **miss**"),
        )
        for each in predictions
    ]


def summary(predictions: list[Prediction]) -> str:
    """Return the errors in one sentence."""
    exact = [each for each in predictions if each.run.bound == "exact"]
    near = sum(each.agrees for each in exact)
    return (
        f"Of {len(exact)} runs with a reported time {near} are within a factor of ten; half are within a factor of "
        f"{spread(predictions):.1f}. {len(predictions) - len(exact)} more are reported as bounds."
    )


def misses(predictions: Iterable[Prediction]) -> str:
    """Return the reasons for what is off by more than a factor of ten."""
    return "\n".join(f"* {each.run.run}: {each.run.reason}" for each in predictions if not each.agrees)


def parameters(runs: tuple[Run, ...]) -> str:
    """Return the fitted times, and the runs that they come from."""
    times, used = calibrate(runs)
    found = []
    for name, store in times.items():
        for what, value in (("read", store.read), ("delete", store.delete)):
            told = [run for run in used if run.demand().get((name, what))]
            if told:
                found.append((name, "list or read" if what == "read" else what, rough(value), len(told)))
    return table(("store", "request", "takes", "runs that tell"), found)


def blocks() -> dict[str, str]:
    """Return every generated part of the page, by its name."""
    with RUNS.open(newline="", encoding="utf-8") as file:
        runs = read_runs(file)
    inside = [predict(run, runs) for run in runs if run.source == "table 9"]
    outside = [predict(run, runs) for run in runs if run.source != "table 9"]
    head = ("run", "reported", "assumed", "took", "predicted", "off by a factor of")
    return {
        "parameters": parameters(runs),
        "table 9": f"{summary(inside)}\n\n{table(head, rows(inside))}",
        "elsewhere": f"{summary(outside)}\n\n{table(head, rows(outside))}",
        "misses": misses((*inside, *outside)),
    }


def filled(page: str) -> str:
    """Return the page with its generated parts made anew."""
    return pages.filled(page, "tests/gc_cost_table.py", blocks())


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
