"""Arrow arrays as NumPy arrays; what is only about Arrow is here."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quotasim.importers.table_schema import Column, ProblemLog, RawTable
from quotasim.kernels import NULL

__all__ = [
    "as_bytes",
    "decimal_cells",
    "encoded",
    "is_null",
    "is_text",
    "report_nulls",
    "to_numpy",
]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int32]


def to_numpy(array: pa.Array[Any], null: int | float = NULL) -> npt.NDArray[Any]:
    """A column of numbers as an array of its own type, ``null`` in the place of nulls."""
    filled = array.fill_null(null) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def is_null(array: pa.Array[Any]) -> BoolArray:
    """bool[n]: the cell is null."""
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False))


def report_nulls(raw: RawTable, column: Column, array: pa.Array[Any], log: ProblemLog) -> None:
    """Report each null of a column that may have none."""
    if array.null_count and not column.nullable:
        log.add_rows(raw.file, column.name, "null", np.flatnonzero(is_null(array)), lambda _: "is null")


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are text, or bytes that may be text."""
    if isinstance(kind, pa.DictionaryType):
        kind = kind.value_type
    types = pa.types
    return (
        types.is_large_string(kind)
        or types.is_large_binary(kind)
        or types.is_string(kind)
        or types.is_binary(kind)
        or types.is_string_view(kind)
        or types.is_binary_view(kind)
    )


def as_bytes(array: pa.Array[Any]) -> pa.LargeBinaryArray:
    """A text column of any Arrow type as bytes, not checked for UTF-8. Shares memory where it can."""
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    return cast("pa.LargeBinaryArray", pc.cast(array, pa.large_binary()))


def encoded(array: pa.Array[Any]) -> tuple[IntArray, list[bytes]]:
    """Place of each cell's value among the distinct ones, in order of first appearance; NULL for null."""
    dictionary = as_bytes(array).dictionary_encode()
    values: list[Any] = dictionary.dictionary.to_pylist()
    return to_numpy(dictionary.indices).astype(np.int32, copy=False), values


def decimal_cells(cells: pa.LargeBinaryArray) -> tuple[BoolArray, npt.NDArray[np.uint64]]:
    """Cells of decimal digits only as numbers.

    Returns
    -------
    bool[n]: the cell has 1 to 19 digits and nothing else; and uint64[n], 0 for the other cells.
    """
    # The same buffers read as text: digits are text anyway, and other cells are left out.
    null, bounds, data = cells.buffers()
    text: Any = pa.Array.from_buffers(
        pa.large_string(), len(cells), [null, bounds, data], cells.null_count, cells.offset
    )
    is_short = to_numpy(pc.binary_length(text), 0) <= 19
    digits = to_numpy(pc.ascii_is_decimal(text), False) & is_short
    if not digits.all():
        text = pc.if_else(pa.array(digits), text, pa.scalar("0", pa.large_string()))
    return digits, to_numpy(pc.cast(text, pa.uint64()), 0)
