"""The one decorator of all kernels: compiled without the GIL, cached on disk.

Numba's own cache notices an edit only in the file of the kernel itself, so a kernel that calls one in another file
would go on using the old machine code of that one. Here the stamp of every cached kernel is the content of all
kernel files: an edit in any of them compiles all again.
"""

import hashlib
from pathlib import Path

import numpy as np
from numba import config, njit
from numba.core.caching import FunctionCache, IndexDataCacheFile


def _stamp():
    """Return a digest of the sources of all kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


_STAMP = _stamp()


class _PackageCache(FunctionCache):
    """Numba's cache of one function, stamped with the sources of the whole package."""

    def __init__(self, py_func):
        super().__init__(py_func)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path, filename_base=self._impl.filename_base, source_stamp=_STAMP
        )


def kernel(function):
    """Compile ``function`` when it is first called; a plain function where the JIT is off.

    Parameters
    ----------
    function : a function over arrays, NamedTuples of arrays, and numbers, that raises nothing.
    """
    if config.DISABLE_JIT:
        return function
    dispatcher = njit(nogil=True, _nrt=False)(function)
    dispatcher._cache = _PackageCache(function)
    return dispatcher


def part(function):
    """Compile ``function`` as a part of the kernels that call it: without an entry for Python, which takes longest
    to compile.

    Call it with int64 scalars only: each further combination of integer types is compiled, and kept, once more.
    """
    if config.DISABLE_JIT:
        return function
    return njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, _nrt=False)(function)


def leaf(function):
    """Compile ``function`` as one that kernels call and that is not copied into them, with registers of its own: for
    loops over the blobs of one manifest.

    Pass it the few arrays that it needs and int64 scalars: a NamedTuple of arrays would be passed word by word.
    """
    if config.DISABLE_JIT:
        return function
    return njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)(function)


def wrapping(function):
    """Let the unsigned products of ``function`` wrap round, as machine code does and NumPy's scalars do not without a
    warning: for hashes, below :func:`part`.

    Nowhere else: a sum of bytes that wraps round is wrong, and a run without the JIT is what shows it.
    """
    return np.errstate(over="ignore")(function) if config.DISABLE_JIT else function
