"""What each stage took, and how much memory all of them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["STAGES", "Clock", "PeakMemory"]

STAGES: Final = (
    "read",
    "decompress",
    "hash blobs",
    "hash files",
    "cut chunks",
    "hash chunks",
    "look up",
    "compress",
)

_STATM: Final = Path("/proc/self/statm")
_SECONDS: Final = 0.01


class Running:
    """One stage of one worker: a context manager that is entered again and again, never within itself."""

    __slots__ = ("_start", "bytes", "seconds")

    def __init__(self) -> None:
        self.bytes, self.seconds, self._start = 0, 0.0, 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


class Clock:
    """The stages of one worker's layer: ``with clock("read") as stage: ...; stage.bytes += n``."""

    __slots__ = ("stages",)

    def __init__(self) -> None:
        self.stages = {name: Running() for name in STAGES}

    def __call__(self, name: str) -> Running:
        """The stage of that name."""
        return self.stages[name]


class PeakMemory:
    """By how much anonymous memory grows at most between ``with`` and its end.

    Attributes
    ----------
    growth : bytes; None where the system does not say. Pages of mapped files, and with them the page cache, are no part
        of it.
    """

    def __init__(self) -> None:
        self.growth: int | None = None
        self._before = self._most = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        before = _resident_bytes()
        if before is not None:
            self._before = self._most = before
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._done.set()
            self._thread.join()
            self._look()
            self.growth = self._most - self._before

    def _watch(self) -> None:
        while not self._done.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        self._most = max(self._most, _resident_bytes() or 0)


def _resident_bytes() -> int | None:
    """Anonymous memory of this process that is in RAM."""
    # A tenth of the work that /proc/self/status is, and it is looked at a hundred times a second.
    try:
        _, resident, shared, *_ = _STATM.read_bytes().split()
    except (OSError, ValueError):
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
