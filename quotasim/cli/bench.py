"""``quotasim bench``: throughput beside peers and the machine's limits; ``bench compare`` of two results."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from quotasim import __version__
from quotasim.cli.options import FormatOption
from quotasim.cli.output import SCHEMA_VERSION, ColumnKind, Report, Table, chosen_format, emit
from quotasim.cli.progress import note, working

if TYPE_CHECKING:
    from quotasim.bench.results import Result

COLUMNS: dict[str, ColumnKind] = {
    "case": "text",
    "references": "count",
    "contender": "text",
    "role": "text",
    "best": "text",
    "median": "text",
    "throughput": "text",
    "peak_bytes": "bytes",
    "ratio": "text",
}
DATA_COLUMNS: dict[str, ColumnKind] = {
    "case": "text",
    "suite": "text",
    "references": "count",
    "contender": "text",
    "role": "text",
    "items": "count",
    "unit": "text",
    "best_seconds": "ratio",
    "median_seconds": "ratio",
    "peak_bytes": "bytes",
    "slower_by_best": "ratio",
    "slower_by_median": "ratio",
    "target": "ratio",
}
CHANGE_COLUMNS: dict[str, ColumnKind] = {
    "case": "text",
    "references": "count",
    "before": "text",
    "after": "text",
    "machine": "text",
    "change": "text",
}
RESULT_NAME = "result.json"

app = typer.Typer(invoke_without_command=True, help="How fast dedup and garbage collection go here.")


@app.callback()
def bench(
    context: typer.Context,
    suite: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--suite", help="A suite, such as replay; by default all.", show_default=False),
    ] = None,
    size: Annotated[
        Literal["S", "M", "L", "XL"], typer.Option("--size", help="10^5, 10^7, 3 x 10^7 or 10^8 references.")
    ] = "S",
    curve: Annotated[
        bool, typer.Option("--curve/--no-curve", help="Run the decades from 10^4 on, too.", show_default=False)
    ] = True,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Run peers; at XL most do not fit.", show_default=False)
    ] = True,
    rounds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--rounds", min=1, help="Rounds of each contender; by default each its own.", show_default=False),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", metavar="DIR", help="Write result.json and pictures there.", show_default=False),
    ] = None,
    format: FormatOption = None,
) -> None:
    """Run a suite and print ours, peers, limits and ratios."""
    if context.invoked_subcommand is not None:
        return
    chosen_format(format, None)
    from quotasim.bench import cases, pictures, results, runner

    chosen = cases.of_suite(suite)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    words = ["quotasim", "bench", *(["--suite", suite] if suite else []), "--size", size]
    words += [*([] if curve else ["--no-curve"]), *([] if peers else ["--no-peers"])]
    words += [*(["--rounds", str(rounds)] if rounds else [])]
    with working("benchmarking") as say:
        result = runner.run(
            chosen, size, command=" ".join(words), curve=curve, peers=peers, rounds=rounds, progress=say
        )
    emit(_report(result), format)
    if out is not None:
        results.write_result(result, out / RESULT_NAME)
        written = pictures.draw(result, out)
        note(f"{RESULT_NAME} and {len(written)} pictures are in {out}")


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A result.json.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another one.")],
    threshold: Annotated[
        float, typer.Option("--threshold", min=0, help="Per cent by which a case may have become slower.")
    ] = 20.0,
    format: FormatOption = None,
) -> None:
    """Say what became slower or faster; exits with 99 where a case became slower by more than the threshold.

    A case's peers and limits tell how much slower the machine was: what they lost is not counted.
    """
    from quotasim.bench.results import compare as compare_results
    from quotasim.bench.results import read_result
    from quotasim.bench.tables import seconds
    from quotasim.errors import GateFailed

    changes = compare_results(read_result(before), read_result(after))
    worst = max(changes, key=lambda change: change.change)
    rows = [
        {
            "case": change.case,
            "references": change.references,
            "before": seconds(change.before),
            "after": seconds(change.after),
            "machine": f"{100 * (change.drift - 1):+.0f} %",
            "change": f"{100 * (change.change - 1):+.0f} %",
        }
        for change in changes
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "threshold_percent": threshold,
        "worst_change": worst.change,
        "rows": [asdict(change) for change in changes],
    }
    data = Table(
        {
            "case": "text",
            "references": "count",
            "before": "ratio",
            "after": "ratio",
            "drift": "ratio",
            "change": "ratio",
        },
        [asdict(change) for change in changes],
    )
    emit(Report(document, data, [Table(CHANGE_COLUMNS, rows)]), format)
    if worst.change > 1 + threshold / 100:
        percent = round(100 * (worst.change - 1), 1)
        gate = f"the growth of the time of {worst.case} in per cent"
        raise GateFailed(gate, percent, threshold)


def _report(result: Result) -> Report:
    """Return what is printed of a run."""
    from quotasim.bench.tables import largest_rows, rate, ratio, seconds

    shown = [
        {
            "case": row.case,
            "references": row.references,
            "contender": row.contender,
            "role": row.role,
            "best": seconds(row.best),
            "median": seconds(row.median),
            "throughput": f"{rate(row.items_per_second)} ({row.unit})" if row.seconds else "",
            "peak_bytes": row.peak_bytes,
            "ratio": ratio(row),
        }
        for row in largest_rows(result)
    ]
    data = [
        {
            "case": row.case,
            "suite": row.suite,
            "references": row.references,
            "contender": row.contender,
            "role": row.role,
            "items": row.items,
            "unit": row.unit,
            "best_seconds": row.best,
            "median_seconds": row.median,
            "peak_bytes": row.peak_bytes,
            "slower_by_best": row.slower_by_best,
            "slower_by_median": row.slower_by_median,
            "target": row.target,
        }
        for row in result.rows
    ]
    machine = result.machine
    title = f"{machine['cpu']}, {machine['usable_cpus']} CPUs; times as long as ours by best round (by median)"
    document = {"schema_version": SCHEMA_VERSION, "profile": None, "dedup_scope": None, **asdict(result)}
    document["tool_version"] = __version__
    return Report(document, Table(DATA_COLUMNS, data), [title, Table(COLUMNS, shown)])
