"""Progress for people: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMPILING = "compiling the engine for this machine, once; about 20 s"


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show what is being done while it is done, and say so if that has the kernels compiled first.

    Parameters
    ----------
    what : such as ``"reading tables"``.
    """
    if not sys.stderr.isatty():
        yield
        return
    from numba.core import event
    from rich.console import Console

    with Console(stderr=True, emoji=False).status(what) as status:

        class Announce(event.Listener):
            """Tell of a compilation that the cache did not spare us."""

            def on_start(self, _event: event.Event) -> None:
                status.update(f"{what}: {COMPILING}")

            def on_end(self, _event: event.Event) -> None:
                """Say nothing: the next kernel follows at once."""

        with event.install_listener("numba:compile", Announce()):
            yield


def note(text: str) -> None:
    """Say something on stderr, if somebody is there to read it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")
