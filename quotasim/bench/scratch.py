"""A place for files that benchmarks work on."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="quotasim-bench-")


def scratch() -> Path:
    """Return a directory that goes with the process."""
    return Path(_directory().name)
