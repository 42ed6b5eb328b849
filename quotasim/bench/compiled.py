"""The replay in C of benchmarks/limits, compiled where there is a compiler: what the machine does without Python.

It is part of a checkout and not of an installed package.
"""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench.workload import Workload

HERE = Path(__file__).parents[2] / "benchmarks" / "limits"
COMPILER = "cc"
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC", "-std=c11", "-Wall", "-Wextra", "-Werror")


def compile_c(name: str, directory: Path) -> ctypes.CDLL:
    """Compile ``name``.c into a directory and load it.

    Raises
    ------
    OSError, subprocess.CalledProcessError : there is no compiler, or it fails.
    """
    library = directory / f"{name}.so"
    subprocess.run([COMPILER, *FLAGS, "-o", str(library), str(HERE / f"{name}.c")], check=True)
    return ctypes.CDLL(str(library))


def pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    """Where an array begins."""
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def number_pairs(workload: Workload) -> tuple[npt.NDArray[np.int32], int]:
    """A number for the (namespace, blob) of every reference, and how many there are: by sorting, no code of ours.

    Namespace by namespace, and in each by first appearance, as ours: what comes together lies together.
    """
    namespace = np.repeat(workload.namespace.astype(np.int64), np.diff(workload.indptr))
    pairs, first, number = np.unique(
        namespace * workload.blob_count + workload.target, return_index=True, return_inverse=True
    )
    rank = np.empty(pairs.size, np.int32)
    rank[np.lexsort((first, pairs // workload.blob_count))] = np.arange(pairs.size, dtype=np.int32)
    return rank[number], pairs.size


@dataclass(frozen=True, slots=True, eq=False)
class PairReplay:
    """Outcome of the C replay of T events, as :class:`quotasim.bench.peers.replay.Replayed`: uint8[T], int64[T] bytes,
    int64[N], int32[B].
    """

    refused: npt.NDArray[np.uint8]
    charged: npt.NDArray[np.int64]
    unique: npt.NDArray[np.int64]
    stored: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    holders: npt.NDArray[np.int32]


def new_outcome(workload: Workload, pairs: int) -> tuple[PairReplay, tuple[npt.NDArray[Any], ...]]:
    """The columns that a replay writes, and its counts, none of them touched by the clock."""
    events = workload.event_count
    outcome = PairReplay(
        np.zeros(events, np.uint8),
        np.zeros(events, np.int64),
        np.zeros(events, np.int64),
        np.zeros(events, np.int64),
        np.zeros(workload.namespace_count, np.int64),
        np.zeros(workload.blob_count, np.int32),
    )
    counts = (
        np.zeros(pairs, np.int32),
        np.zeros(workload.blob_count, np.uint8),
        np.zeros(workload.manifest_count, np.uint8),
        np.zeros(workload.manifest_count, np.uint8),
    )
    return outcome, counts


def clear(outcome: PairReplay, counts: tuple[npt.NDArray[Any], ...]) -> None:
    """Make everything that a replay writes zero again."""
    for column in (*counts, *(getattr(outcome, name) for name in PairReplay.__slots__)):
        column.fill(0)


def replay_pairs(
    library: ctypes.CDLL,
    workload: Workload,
    pair: npt.NDArray[np.int32],
    outcome: PairReplay,
    counts: tuple[npt.NDArray[Any], ...],
) -> int:
    """Replay the trace in C; returns how many events were refused."""
    library.replay.restype = ctypes.c_int64
    columns = (
        workload.event_manifest,
        workload.event_is_delete,
        workload.indptr,
        workload.target,
        pair,
        workload.manifest_size,
        workload.blob_size,
        workload.namespace,
        workload.limit,
        counts[0],
        outcome.holders,
        *counts[1:],
        outcome.used,
        outcome.refused,
        outcome.charged,
        outcome.unique,
        outcome.stored,
    )
    return int(
        library.replay(ctypes.c_int64(workload.event_count), *[pointer(np.asarray(column)) for column in columns])
    )
