"""Streams of operations, generated and replayed from digests and names on. The cases are those of `quotasim bench`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quotasim.bench.case import Case

from .conftest import contenders_of


@pytest.mark.benchmark
@pytest.mark.parametrize(("case", "contender"), contenders_of(["workloads"]))
def test_workloads(contend: Callable[[Case, str], None], case: Case, contender: str) -> None:
    contend(case, contender)
