"""The same lives with the JIT on and off, and under other hash seeds, give the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from quotasim.model.log import EventKind, Reason
from quotasim.snapshot.tables import TABLES

from .strategies import PROFILES

Lived = tuple[Path, dict[str, int]]


@pytest.fixture(scope="module")
def lived(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Lived]:
    """Live the lives in a process of their own; returns where they were saved, and the signatures of each kernel."""

    @cache
    def live(*, jit: bool, seed: str) -> Lived:
        out = tmp_path_factory.mktemp("lives")
        environment = {key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"}
        environment |= {"PYTHONHASHSEED": seed} | ({} if jit else {"NUMBA_DISABLE_JIT": "1"})
        command = [sys.executable, "-W", "error", "-m", "tests.lives", str(out)]
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return out, json.loads(done.stdout)

    return live


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of files that are not in both with the same bytes."""
    found = [
        {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
        for path in (one, other)
    ]
    assert len(found[0]) > 2 * len(TABLES) * len(PROFILES)
    names = (found[0].keys() | found[1].keys()) - {name for name in found[0] if name.endswith("saved_at.txt")}
    return sorted(name for name in names if found[0].get(name) != found[1].get(name))


def test_jit_on_and_off_agree_bit_for_bit(lived: Callable[..., Lived]) -> None:
    (compiled, signatures), (plain, nothing) = lived(jit=True, seed="1"), lived(jit=False, seed="1")
    assert signatures
    assert nothing == {}
    assert differences(compiled, plain) == []


def test_hash_seeds_change_no_byte(lived: Callable[..., Lived]) -> None:
    assert differences(lived(jit=True, seed="1")[0], lived(jit=True, seed="2")[0]) == []


def test_each_kernel_is_compiled_for_one_type_signature(lived: Callable[..., Lived]) -> None:
    _, signatures = lived(jit=True, seed="1")
    assert signatures == dict.fromkeys(signatures, 1)


def test_the_lives_reach_every_kind_of_event(lived: Callable[..., Lived]) -> None:
    out, _ = lived(jit=True, seed="1")
    events = pd.concat(map(pd.read_parquet, sorted(out.glob("*/events.parquet"))))
    assert set(events["kind"]) == {kind.name for kind in EventKind}
    assert set(events["reason"]) == {reason.name for reason in Reason}
    for column in ("unique_bytes", "charged_bytes", "stored_bytes"):
        assert set(events[column] > 0) == set(events[column] < 0) == {True, False}
