"""What a figure depends on: the machine, the system, the libraries and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from quotasim import __version__

_LIBRARIES = ("numpy", "numba", "pandas", "pyarrow", "polars", "duckdb", "scipy", "simpy", "zstandard", "pyfastcdc")


def machine_info() -> dict[str, object]:
    """Return what to keep beside a measurement, as JSON takes it; what the system does not say is None.

    Examples
    --------
    >>> sorted(machine_info())[:3]
    ['caches', 'commit', 'cpu']
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu(),
        "usable_cpus": usable,
        "caches": _caches(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name)) is not None},
        "tool_version": __version__,
        "commit": _commit(),
    }


def _version(name: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def _cpu() -> str | None:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or None


def _caches() -> dict[str, str]:
    """The caches of the first processor, such as ``{"L3": "32768K"}``."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with suppress(OSError):
            kind, level = (index / "type").read_text().strip(), (index / "level").read_text().strip()
            if kind != "Instruction":
                found[f"L{level}"] = (index / "size").read_text().strip()
    return found


def _memory() -> int | None:
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _commit() -> str | None:
    """The commit of the checkout that this file is in, with ``+`` where it was changed since."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    with suppress(OSError, subprocess.SubprocessError):
        if git("ls-files", "--error-unmatch", Path(__file__).name):
            return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    return None
