"""The table of docs/kinds.md over a real registry: ``python -m tests.real_comparison_table SNAPSHOT`` writes it anew.

The snapshot is what ``quotasim import tables repo_info --untagged keep`` makes of the real data.
"""

from __future__ import annotations

import sys

import quotasim as qs
from quotasim.profiles import PROFILES

from . import pages
from .kinds_table import PAGE
from .pages import table

NAME = "a real registry"
SHOWN = ("charged_bytes", "stored_bytes", "limit_bytes")


def text(registry: qs.Registry) -> str:
    """Return the table of a registry."""
    rows = []
    for row in qs.compare(registry, list(PROFILES)):
        steps = [
            f"{step.figure.removesuffix('_bytes')} {'+' if step.bytes > 0 else ''}{step.bytes:,}: {step.reason}"
            for step in row.differences
            if step.figure in SHOWN
        ]
        figures = (row.charged_bytes, row.stored_bytes, row.reclaimable_bytes)
        rows.append((f"`{row.profile}`", *(f"{figure:,}" for figure in figures), "; ".join(steps) or "each blob once"))
    unique = registry.usage().unique_bytes
    head = f"Each blob of a linked manifest once: {unique:,} bytes.\n\n"
    return head + table(("kind", "charged", "stored", "reclaimable", "why it is not that"), rows)


def filled(page: str, made: str) -> str:
    """Return the page with the table made anew."""
    return pages.filled(page, "tests/real_comparison_table.py", {NAME: made})


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), text(qs.load(sys.argv[1]))))
