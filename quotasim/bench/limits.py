"""What the machine does at best: memory that is copied, and memory that is looked up at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels.limits import gather_increment


def copy(source: npt.NDArray[Any], out: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy an array into another; returns that."""
    np.copyto(out, source)
    return out


def gathered(target: npt.NDArray[np.int32], counts: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Add 1 to ``counts`` (int32[B], WRITTEN) at each of ``target``; returns it. Any look at references does that."""
    gather_increment(target, counts)
    return counts
