"""What one would write without quotasim, as fast as it goes, with the same answers: dicts and sets, NumPy, SciPy,
Arrow, pandas, polars, DuckDB, SimPy.

Preparing lists and tables, and switching the garbage collector off, is the caller's: it is not in the time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

from quotasim.bench.case import Contender


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Keep Python's garbage collector from walking millions of ints: it takes a quarter of a dict replay."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def peer(
    name: str,
    run: Callable[..., Any],
    setup: Callable[[], tuple[Any, ...]],
    check: Callable[[Any], bool],
    *,
    target: float | None = None,
    needs: tuple[str, ...] = (),
    rounds: int = 5,
    plain: bool = False,
) -> Contender:
    """Return a contender that reads the same arguments in every round; ``setup`` makes them once.

    Parameters
    ----------
    plain : whether it works on Python's own objects, with the garbage collector switched off.
    """
    return Contender(
        name=name,
        role="peer",
        run=run,
        setup=cache(setup),
        check=check,
        rounds=rounds,
        target=target,
        around=frozen_heap if plain else nullcontext,
        needs=needs,
    )
