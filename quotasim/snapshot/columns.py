"""Columns of a snapshot: what each may hold, as NumPy arrays and as Arrow arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quotasim.kernels import NULL
from quotasim.model.digests import PROBLEM_REASONS, DigestArray, DigestProblem, decode_digests, encode_digests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from hashlib import _Hash

__all__ = [
    "Field",
    "Kind",
    "Labels",
    "Table",
    "Values",
    "WrongColumn",
    "add_to_hash",
    "new_hash",
    "read_column",
    "write_column",
]

Array = npt.NDArray[Any]

_LIMIT_DIGITS: Final = 38


class Kind(Enum):
    """What a column holds, and how it lies in a file."""

    NUMBER = "number"
    """Whole numbers of a given dtype; NULL is null where the field is nullable."""
    FLAG = "flag"
    """uint8 of 0 and 1; bool in the file."""
    TIME = "time"
    """int64 microseconds; a timestamp in UTC in the file."""
    LABEL = "label"
    """Few distinct texts: `Labels`; a dictionary in the file."""
    NAME = "name"
    """A list of distinct texts."""
    DIGEST = "digest"
    """A `DigestArray`; text in the file."""
    TOTAL = "total"
    """A list of exact ints, None for null; decimal numbers in the file."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Texts as codes into their distinct values; NULL is null.

    Attributes
    ----------
    codes : int32[n].
    values : the texts that occur, sorted: equal columns are equal here too, however they were numbered before.
    """

    codes: Array
    values: list[str]

    @classmethod
    def of(cls, codes: Array, values: Sequence[str]) -> Labels:
        """Labels of codes into any list of texts, in which no text occurs twice."""
        counts = np.bincount(codes[codes != NULL], minlength=len(values))
        order = np.array(sorted(np.flatnonzero(counts).tolist(), key=values.__getitem__), np.int64)
        place = np.full(len(values) + 1, NULL, np.int32)  # the last one is where NULL finds itself
        place[order] = np.arange(len(order), dtype=np.int32)
        return cls(place[codes], [values[row] for row in order.tolist()])


Values = Array | Labels | DigestArray | list[str] | list[int | None]
Table = dict[str, Values]


class WrongColumn(Exception):
    """A column of a file is not what it should be; says why. Becomes a `SnapshotError` that names the file."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column.

    Attributes
    ----------
    name : in the file.
    kind : what it holds.
    dtype : of a NUMBER.
    nullable : whether NULL may stand in it.
    over : the table whose rows a NUMBER names; "" where it names none.
    """

    name: str
    kind: Kind = Kind.NUMBER
    dtype: type[Any] = np.int32
    nullable: bool = False
    over: str = ""

    @property
    def arrow_type(self) -> pa.DataType:
        """Its type in a file."""
        types: dict[Kind, pa.DataType] = {
            Kind.FLAG: pa.bool_(),
            Kind.TIME: pa.timestamp("us", tz="UTC"),
            Kind.LABEL: pa.dictionary(pa.int32(), pa.string()),
            Kind.NAME: pa.large_string(),
            Kind.DIGEST: pa.large_string(),
            Kind.TOTAL: pa.decimal128(_LIMIT_DIGITS, 0),
        }
        return types[self.kind] if self.kind in types else pa.from_numpy_dtype(np.dtype(self.dtype))


# -- to Arrow ------------------------------------------------------------------------------------------


def write_column(field: Field, values: Values) -> pa.Array[Any]:
    """The column as it goes into a file."""
    if isinstance(values, Labels):
        codes: Any = pa.array(values.codes, mask=values.codes == NULL)
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.values, pa.string()))
    if isinstance(values, DigestArray):
        data, offsets = encode_digests(values)
        text: Any = pa.py_buffer(data.data)
        return pa.LargeStringArray.from_buffers(len(values), pa.py_buffer(offsets.data), text)
    if isinstance(values, list):
        if field.kind is Kind.TOTAL:
            totals = [None if value is None else Decimal(value) for value in values]
            return _array(totals, field.arrow_type)
        return _array(values, field.arrow_type)
    if field.kind is Kind.FLAG:
        return _array(values != 0, field.arrow_type)
    numbers = np.ascontiguousarray(values, np.int64 if field.kind is Kind.TIME else field.dtype)
    column: Any = pa.array(numbers, mask=numbers == NULL if field.nullable else None)
    return cast("pa.Array[Any]", column.cast(field.arrow_type) if field.kind is Kind.TIME else column)


def _array(values: Sequence[object] | Array, kind: pa.DataType) -> pa.Array[Any]:
    column: Any = pa.array(values, kind)
    return cast("pa.Array[Any]", column)


# -- from Arrow ----------------------------------------------------------------------------------------


def read_column(field: Field, column: pa.ChunkedArray[Any]) -> Values:
    """The column as it came from a file.

    Raises
    ------
    WrongColumn : it has another type, nulls where none may be, or texts that are no digests.
    """
    if column.type != field.arrow_type:
        reason = f"column {field.name!r} has type {column.type}, not {field.arrow_type}"
        raise WrongColumn(reason)
    if column.null_count and not field.nullable:
        reason = f"column {field.name!r} has {column.null_count:,} nulls"
        raise WrongColumn(reason)
    if field.kind is Kind.LABEL:
        return _labels(field, column)
    if field.kind is Kind.DIGEST:
        return _digests(field, column)
    if field.kind is Kind.NAME:
        return [str(value) for value in column.to_pylist()]
    if field.kind is Kind.TOTAL:
        return [None if value is None else int(value) for value in column.to_pylist()]
    if field.kind is Kind.TIME:
        column = column.cast(pa.int64())
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(NULL, column.type))
    dtype: Any = np.uint8 if field.kind is Kind.FLAG else np.int64 if field.kind is Kind.TIME else field.dtype
    # A copy: what Arrow gave may be read only, which to the kernels is another type.
    return np.array(column.to_numpy(), dtype)


def _one(column: pa.ChunkedArray[Any]) -> Any:
    """The column in one piece, whose dictionaries are one."""
    whole: Any = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    return whole


def _labels(field: Field, column: pa.ChunkedArray[Any]) -> Labels:
    whole = _one(column)
    if whole.dictionary.null_count:
        reason = f"column {field.name!r} has null among its texts"
        raise WrongColumn(reason)
    codes = pc.fill_null(whole.indices, pa.scalar(NULL, pa.int32()))
    return Labels.of(np.asarray(codes), whole.dictionary.to_pylist())


def _digests(field: Field, column: pa.ChunkedArray[Any]) -> DigestArray:
    text = _one(column)
    offsets, letters = np.zeros(1, np.int64), np.empty(0, np.uint8)
    if len(text):
        _, bounds, data = text.buffers()
        offsets = np.frombuffer(bounds, np.int64)[text.offset : text.offset + len(text) + 1]
        letters = np.frombuffer(data, np.uint8)
    digests, rows, problems = decode_digests(letters, offsets)
    if rows.size:
        row = int(rows[0])
        reason = (
            f"row {row}, column {field.name!r}: {text[row].as_py()!r} is not a digest: "
            f"{PROBLEM_REASONS[DigestProblem(problems[0])]}"
        )
        raise WrongColumn(reason)
    return digests


# -- content -------------------------------------------------------------------------------------------


def add_to_hash(digest: _Hash, field: Field, values: Values) -> None:
    """Add a column's name and content, not how a file holds it, to a hash. O(bytes)."""
    digest.update(f"{field.name} {field.kind.value} {len(_rows(values))}\n".encode())
    if isinstance(values, Labels):
        digest.update(json.dumps(values.values).encode())
        _add_array(digest, values.codes, np.int32)
    elif isinstance(values, DigestArray):
        _add_array(digest, values.algorithm, np.uint8)
        _add_array(digest, values.words256, np.uint64)
        _add_array(digest, values.words512, np.uint64)
    elif isinstance(values, list):
        digest.update(json.dumps(values).encode())
    else:
        dtype = {Kind.FLAG: np.uint8, Kind.TIME: np.int64}.get(field.kind, field.dtype)
        _add_array(digest, values, dtype)


def new_hash() -> _Hash:
    """A hash that has seen nothing."""
    return sha256()


def _add_array(digest: _Hash, values: Array, dtype: Any) -> None:
    # Little-endian, as digests' words are bytes in their order and every machine that runs this is.
    digest.update(np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).data)


def _rows(values: Values) -> Any:
    return values.codes if isinstance(values, Labels) else values
