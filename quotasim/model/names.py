"""Names: repositories, namespaces, tags and links as rows. Append-only and shared by all branches, like content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import NULL, tables
from quotasim.kernels.layout import EMPTY
from quotasim.kernels.layout import Names as NameArrays
from quotasim.model.columns import Appendable
from quotasim.model.oci import namespace_of

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int32]


def empty_table(rows: int, width: int = 2) -> Array:
    """Return an empty hash table, int64[capacity, width], with room for ``rows`` keys."""
    table = np.zeros((rows * 4 // 3 + 8, width), np.int64)
    table[:, 0] = EMPTY
    return table


class StringIndex:
    """Strings as rows in order of first appearance.

    Examples
    --------
    >>> index = StringIndex()
    >>> index.add("b"), index.add("a"), index.add("b"), index.find("c")
    (0, 1, 0, -1)
    """

    __slots__ = ("_row", "values")

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values: list[str] = []
        self._row: dict[str, int] = {}
        self.add_all(list(values))

    def __len__(self) -> int:
        return len(self.values)

    def add(self, value: str) -> int:
        """Return the row of ``value``, a new one on first mention."""
        row = self._row.setdefault(value, len(self.values))
        if row == len(self.values):
            self.values.append(value)
        return row

    def add_all(self, values: Sequence[str]) -> Ids:
        """Return the rows of ``values``, int32[n], new ones on first mention."""
        # Whole passes in C: a call for each of a million tags takes longer than reading them.
        row = self._row
        distinct = dict.fromkeys(values)
        new = list(distinct) if not row else [value for value in distinct if value not in row]
        first = len(self.values)
        row.update(zip(new, range(first, first + len(new)), strict=True))
        self.values.extend(new)
        if len(new) == len(values):
            return np.arange(first, len(self.values), dtype=np.int32)
        return np.fromiter(map(row.__getitem__, values), np.int32, len(values))

    def find(self, value: str) -> int:
        """Return the row of ``value``, or NULL."""
        return self._row.get(value, NULL)


class PairIndex:
    """Pairs of ids as rows in order of first appearance, in a hash table that kernels can read."""

    __slots__ = ("_first", "_second", "_table")

    def __init__(self) -> None:
        self._first = Appendable(np.int32)
        self._second = Appendable(np.int32)
        self._table: Array | None = empty_table(4)

    def __len__(self) -> int:
        return len(self._first)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._first.nbytes + self._second.nbytes + (0 if self._table is None else int(self._table.nbytes))

    @property
    def first(self) -> Ids:
        """First id of every row."""
        return self._first.rows

    @property
    def second(self) -> Ids:
        """Second id of every row."""
        return self._second.rows

    @property
    def table(self) -> Array:
        """The hash table, int64[capacity, 2] of (first << 32 | second, row); made when it is first asked for."""
        if self._table is None:
            count = len(self)
            self._table = empty_table(count + count // 2)
            scratch = [np.empty(count, np.int32) for _ in range(3)]
            tables.intern_pairs(self._table, self.first, self.second, 0, *scratch)
        return self._table

    def take(self, first: Array, second: Array) -> None:
        """Become the index of these pairs, int32[n] each, all of them different. O(n); the table comes later."""
        self._first.adopt(first)
        self._second.adopt(second)
        self._table = None

    def add_all(self, first: Array, second: Array) -> Ids:
        """Return the rows of the pairs, int32[n], adding the new ones. O(n)."""
        count = first.shape[0]
        out = np.empty(count, np.int32)
        if count == 0:
            return out
        new_first = np.empty(count, np.int32)
        new_second = np.empty(count, np.int32)
        # In slices that fit the table as it is: room for all to be new would be far too much where pairs repeat. It
        # grows by what the last slice makes likely, so that most growing is done once.
        done, likely = 0, 0.0
        while done < count:
            free = self.table.shape[0] * 3 // 4 - len(self)
            if free <= 0:
                wanted = len(self) + int((count - done) * likely)
                grown = empty_table(max(self.table.shape[0] * 2, wanted))
                tables.rehash(self.table, grown, 1)
                self._table = grown
                continue
            stop = min(count, done + free)
            new = tables.intern_pairs(
                self.table,
                np.ascontiguousarray(first[done:stop], np.int32),
                np.ascontiguousarray(second[done:stop], np.int32),
                len(self),
                new_first[: stop - done],
                new_second[: stop - done],
                out[done:stop],
            )
            self._first.extend(new_first[:new])
            self._second.extend(new_second[:new])
            likely = new / (stop - done)
            done = stop
        return out

    def find_all(self, first: Array, second: Array) -> Ids:
        """Return the rows of the pairs, NULL where absent. O(n)."""
        out = np.empty(first.shape[0], np.int32)
        tables.find_pairs(
            self.table, np.ascontiguousarray(first, np.int32), np.ascontiguousarray(second, np.int32), out
        )
        return out

    def find(self, first: int, second: int) -> int:
        """Return the row of one pair, or NULL."""
        return int(self.find_all(np.array([first]), np.array([second]))[0])


class Names:
    """Repositories, namespaces, tags (repository, name, platform) and links (repository, manifest)."""

    def __init__(self) -> None:
        self.repositories = StringIndex()
        self.namespaces = StringIndex()
        self.tag_names = StringIndex()
        self.platforms = StringIndex([""])
        self._namespace = Appendable(np.int32)
        self.tag_keys = PairIndex()  # (repository, tag name)
        self.tags = PairIndex()  # (tag key, platform)
        self.links = PairIndex()  # (repository, manifest)

    @property
    def namespace(self) -> Ids:
        """Namespace row of every repository."""
        return self._namespace.rows

    @property
    def nbytes(self) -> int:
        """Bytes of the id tables; the strings themselves are left out."""
        return self.tag_keys.nbytes + self.tags.nbytes + self.links.nbytes + self._namespace.nbytes

    def add_repository(self, name: str) -> int:
        """Return the row of repository ``name``, a new one on first mention."""
        row = self.repositories.add(name)
        if row == len(self._namespace):
            self._namespace.extend([self.namespaces.add(namespace_of(name))])
        return row

    def add_repositories(self, names: Sequence[str]) -> Ids:
        """Return the rows of ``names``, int32[n]."""
        return np.fromiter((self.add_repository(name) for name in names), np.int32, len(names))

    def add_tags(self, repository: Array, name: Array, platform: Array) -> Ids:
        """Return tag rows for (repository, tag name, platform) rows, int32[n], adding new ones."""
        return self.tags.add_all(self.tag_keys.add_all(repository, name), platform)

    def find_tag(self, repository: int, name: str, platform: str = "") -> int:
        """Return the row of one tag, or NULL."""
        name_row, platform_row = self.tag_names.find(name), self.platforms.find(platform)
        if repository < 0 or name_row < 0 or platform_row < 0:
            return NULL
        key = self.tag_keys.find(repository, name_row)
        return NULL if key < 0 else self.tags.find(key, platform_row)

    @property
    def tag_repository(self) -> Ids:
        """Repository row of every tag, int32[T]."""
        return self.tag_keys.first[self.tags.first]

    def tag_label(self, tag: int) -> str:
        """Name of a tag within its repository; a platform of replayed histories follows in brackets."""
        name = self.tag_names.values[self.tag_keys.second[self.tags.first[tag]]]
        platform = self.platforms.values[self.tags.second[tag]]
        return f"{name}[{platform}]" if platform else name

    def arrays(self) -> NameArrays:
        """Return the arrays as kernels read them."""
        return NameArrays(self.links.first, self.links.second, self.links.table, self.namespace)
