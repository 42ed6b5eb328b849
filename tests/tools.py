"""Other people's programs that tests run. Without one its tests are skipped, or fail where CI is set."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def find_tool(name: str) -> str:
    """Return a program's path; without it skip the test, or fail it where CI is set."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not installed: on Debian, apt-get install --no-install-recommends {name}"
        if os.environ.get("CI"):
            pytest.fail(f"{message}; under CI this test may not be skipped")
        pytest.skip(message)
    return found


def run_tool(name: str, *arguments: object) -> str:
    """Run a program that must succeed, and give what it printed."""
    command = [find_tool(name), *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
