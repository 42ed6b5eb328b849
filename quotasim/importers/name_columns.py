"""Text columns: names and their codes, and what a name may be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quotasim.errors import InvalidReference
from quotasim.importers.arrow_columns import encoded, is_text, report_nulls
from quotasim.importers.table_schema import ProblemLog, RawTable, shown
from quotasim.kernels import NULL
from quotasim.model.reference import parse_repository, parse_tag

__all__ = ["NamePool", "names", "plain_text", "repository_fault", "tag_fault"]

IntArray = npt.NDArray[np.int32]


class NamePool:
    """Names and their codes, in order of first appearance; shared by the columns that name the same things.

    Examples
    --------
    >>> pool = NamePool()
    >>> pool.code("library/redis"), pool.code("team/web"), pool.code("library/redis")
    (0, 1, 0)
    >>> pool.names
    ('library/redis', 'team/web')
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, name: str) -> int:
        """The code of a name, a new one where the name is new."""
        return self._codes.setdefault(name, len(self._codes))

    def find(self, name: str) -> int:
        """The code of a name, NULL where it has none."""
        return self._codes.get(name, NULL)

    @property
    def names(self) -> tuple[str, ...]:
        """The names; a name's place is its code."""
        return tuple(self._codes)


def names(raw: RawTable, name: str, log: ProblemLog, pool: NamePool, fault: Callable[[str], str | None]) -> IntArray:
    """Codes of a text column, its names added to ``pool``.

    Parameters
    ----------
    fault : what is wrong with a name, to be read after the name itself; None if nothing is.

    Returns
    -------
    int32[n], NULL where null or wrong. Where null is allowed an empty text is null.

    Notes
    -----
    ``fault`` is called once for each distinct name.
    """
    column, array = raw.column(name), raw.columns.get(name)
    if array is None:
        return np.full(raw.num_rows, NULL, np.int32)
    report_nulls(raw, column, array, log)
    if pa.types.is_null(array.type):
        return np.full(raw.num_rows, NULL, np.int32)
    if not is_text(array.type):
        log.add(raw.file, column.name, f"is of type {array.type}; text is needed")
        return np.full(raw.num_rows, NULL, np.int32)
    codes, values = encoded(array)
    # One place more: that of NULL, which is -1.
    pooled = [NULL] * (len(values) + 1)
    faults: dict[int, str] = {}
    for at, value in enumerate(values):
        if not value and column.nullable:
            continue
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            faults[at] = "is not UTF-8"
            continue
        reason = fault(text)
        if reason is None:
            pooled[at] = pool.code(text)
        else:
            faults[at] = reason
    if faults:
        is_wrong = np.zeros(len(values) + 1, np.bool_)
        is_wrong[list(faults)] = True
        log.add_rows(
            raw.file,
            column.name,
            "not a valid name",
            np.flatnonzero(is_wrong[codes]),
            lambda row: f"{shown(values[codes[row]])} {faults[int(codes[row])]}",
        )
    return np.array(pooled, np.int32)[codes]


def repository_fault(name: str) -> str | None:
    """What is wrong with the name of a repository.

    Examples
    --------
    >>> repository_fault("team-a/web") is None, repository_fault("Team") is None
    (True, False)
    """
    try:
        parse_repository(name)
    except InvalidReference as error:
        return f"is not the name of a repository: {error.reason}"
    return None


def tag_fault(name: str) -> str | None:
    """What is wrong with a tag.

    Examples
    --------
    >>> tag_fault("3.2-alpine") is None, tag_fault(".x") is None
    (True, False)
    """
    try:
        parse_tag(name)
    except InvalidReference as error:
        return f"is not a tag: {error.reason}"
    return None


def plain_text(text: str) -> str | None:
    """What is wrong with a text that has no grammar, such as a platform or a media type.

    Examples
    --------
    >>> plain_text("windows/amd64:10.0.14393#2") is None
    True
    >>> plain_text("linux" + chr(7))
    'holds a character that cannot be printed'
    """
    if not text:
        return "is empty"
    if len(text) > 255:
        return f"has {len(text):,} characters, more than 255"
    return None if text.isprintable() else "holds a character that cannot be printed"
