"""The tables of measured figures, from the result file that is kept: ``python -m tests.bench_table`` writes them anew.

``quotasim bench --size M --no-curve --out DIR`` makes such a file (``DIR/result.json``).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from quotasim.bench import tables
from quotasim.bench.results import Result, read_result

from . import pages

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "size-M.json"
README, PERFORMANCE = ROOT / "README.md", ROOT / "docs" / "performance.md"
SHOWN = ("intern", "replay-namespace", "mark", "usage-namespace", "content-layer")
"""Cases of README: the whole is in docs/performance.md."""


def blocks(result: Result) -> dict[Path, dict[str, str]]:
    """Return the generated parts of each page."""
    few = replace(result, rows=tuple(row for row in result.rows if row.case in SHOWN))
    return {
        README: {"bench": tables.markdown(few)},
        PERFORMANCE: {"bench": tables.markdown(result), "ours": tables.markdown_alone(result)},
    }


def filled(page: Path, result: Result) -> str:
    """Return a page with its tables made anew."""
    return pages.filled(page.read_text(), "tests/bench_table.py", blocks(result)[page])


if __name__ == "__main__":
    for place in (README, PERFORMANCE):
        place.write_text(filled(place, read_result(RESULT)))
