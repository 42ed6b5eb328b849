"""Progress for people: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

COMPILING = "compiling the engine for this machine, once; about 20 s"


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done while it is done, and say so if that has the kernels compiled first.

    Parameters
    ----------
    what : such as ``"reading tables"``.

    Yields
    ------
    A function that is told what is done next.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from numba.core import event
    from rich.console import Console

    now = what
    with Console(stderr=True, emoji=False).status(what) as status:

        def say(text: str) -> None:
            nonlocal now
            now = text
            status.update(text)

        class Announce(event.Listener):
            """Tell of a compilation that the cache did not spare us."""

            def on_start(self, _event: event.Event) -> None:
                status.update(f"{now}: {COMPILING}")

            def on_end(self, _event: event.Event) -> None:
                """Say nothing: the next kernel follows at once."""

        with event.install_listener("numba:compile", Announce()):
            yield say


def note(text: str) -> None:
    """Say something on stderr, if somebody is there to read it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")
