"""The least that a look at references costs: what the benchmarks hold the other kernels against."""

import numpy as np

from quotasim.kernels.compile import kernel


@kernel
def gather_increment(target, counts):
    """Add 1 to ``counts`` at each of ``target``, in its order.

    target  int32[E]  rows of counts
    counts  int32[B]  WRITTEN
    """
    for e in range(target.shape[0]):
        counts[np.uint64(target[e])] += 1
