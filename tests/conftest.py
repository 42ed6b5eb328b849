"""What all tests share: repeatable Hypothesis runs, no windows, and the way to the real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

# The same examples in every run: a failure is the change's doing, not luck's. Thorough runs look elsewhere.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("thorough", database=None, deadline=None, print_blob=True, max_examples=2_000)
settings.load_profile(os.environ.get("QUOTASIM_HYPOTHESIS", "repeatable"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's top directory."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of the real registry data, which is not part of the repository.

    It is taken from QUOTASIM_REAL_DATA, else from ../shared/data next to the repository.
    """
    path = Path(os.environ.get("QUOTASIM_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not (path / "repo_info").is_dir():
        pytest.skip(f"no real data: {path} has no repo_info; QUOTASIM_REAL_DATA can name another place")
    return path
