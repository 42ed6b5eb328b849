"""Keep rules: the newest N tags of a repository, tags younger than D, tags of a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.units import format_duration, parse_duration, whole_number

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class KeepRule(ABC):
    """Keeps some of the tags that it looks at.

    Attributes
    ----------
    repositories, tags : patterns of names as in a shell (``*``, ``?``, ``[...]``), the case of letters counts: at what
        the rule looks. What it does not look at it does not keep.
    """

    repositories: str = field(default="*", kw_only=True)
    tags: str = field(default="*", kw_only=True)

    @abstractmethod
    def keeps(self, rank: Array, age: Array) -> Array:
        """Return which of the tags that the rule looks at it keeps, bool[n].

        Parameters
        ----------
        rank : int64[n], place in its repository among those that the rule looks at, 1 for the one set last.
        age : int64[n], microseconds since it was set.
        """

    @abstractmethod
    def reason(self, rank: int, age: int) -> str:
        """Return in words why it keeps a tag that it looks at of this rank and age, or why not."""

    def _where(self) -> str:
        return "" if self.tags == "*" else f" like {self.tags}"


@dataclass(frozen=True)
class KeepNewest(KeepRule):
    """Keeps the tags of each repository that were set last.

    Parameters
    ----------
    count : how many, 1 or more. Of tags that were set at one time the first in the order of names count as newer.

    Examples
    --------
    >>> KeepNewest(2).keeps(np.array([1, 2, 3]), np.array([0, 5, 9])).tolist()
    [True, True, False]
    """

    count: int

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "count", whole_number(self.count, name="count", expected="a whole number of 1 or more")
        )
        if self.count < 1:
            raise InvalidValue("count", self.count, "a whole number of 1 or more")

    def keeps(self, rank: Array, age: Array) -> Array:
        """Return which are among the newest."""
        return np.asarray(rank <= self.count)

    def reason(self, rank: int, age: int) -> str:
        """Say its place."""
        return f"number {rank} of its repository's tags{self._where()} by age; the newest {self.count} stay"


@dataclass(frozen=True)
class KeepYounger(KeepRule):
    """Keeps tags that were set not long ago.

    Parameters
    ----------
    than : a duration such as ``"30d"``, above 0. A tag of exactly this age is not younger.

    Examples
    --------
    >>> KeepYounger("1d").keeps(np.array([1, 2]), np.array([86_399_999_999, 86_400_000_000])).tolist()
    [True, False]
    """

    than: str | timedelta

    def __post_init__(self) -> None:
        if parse_duration(self.than, name="than") < 1:
            raise InvalidValue("than", str(self.than), "a duration above 0")

    def keeps(self, rank: Array, age: Array) -> Array:
        """Return which are younger."""
        return np.asarray(age < parse_duration(self.than))

    def reason(self, rank: int, age: int) -> str:
        """Say its age."""
        limit = format_duration(parse_duration(self.than))
        return f"set {format_duration(age)} ago; younger than {limit} stays"


@dataclass(frozen=True)
class KeepMatching(KeepRule):
    """Keeps every tag that it looks at: ``KeepMatching(tags="v*")``."""

    def keeps(self, rank: Array, age: Array) -> Array:
        """Return all."""
        return np.ones(rank.shape[0], bool)

    def reason(self, rank: int, age: int) -> str:
        """Say the pattern."""
        return f"tags like {self.tags} stay"


@dataclass(frozen=True)
class RetentionPolicy:
    """What a clean-up keeps; every tag that no rule keeps is removed.

    Parameters
    ----------
    keep : rules, at least one; what any of them keeps stays.
    manifests : ``"delete"``: a manifest that loses its last tag is deleted, with children and referrers that belong to
        nothing else; ``"leave"``: only tags are removed, and the rest is the registry kind's own matter.
    untagged_after : how long a manifest must have been without a tag before it is deleted too, such as ``"7d"``; None:
        what was untagged before is left. A part of something that stays is never deleted.

    Raises
    ------
    InvalidValue : there is no rule, so that every tag would go; or ``untagged_after`` where manifests are left.

    Examples
    --------
    >>> RetentionPolicy([KeepNewest(10), KeepYounger("30d"), KeepMatching(tags="v*")]).manifests
    'delete'
    """

    keep: Sequence[KeepRule]
    manifests: Literal["delete", "leave"] = "delete"
    untagged_after: str | timedelta | None = None

    def __post_init__(self) -> None:
        rules = (self.keep,) if isinstance(self.keep, KeepRule) else tuple(self.keep)
        if not rules or not all(isinstance(rule, KeepRule) for rule in rules):
            raise InvalidValue("keep", str(self.keep), "keep rules, at least one: without, every tag would go")
        object.__setattr__(self, "keep", rules)
        if self.manifests not in ("delete", "leave"):
            raise InvalidValue("manifests", self.manifests, "delete or leave")
        if self.untagged_after is not None:
            parse_duration(self.untagged_after, name="untagged_after")
            if self.manifests == "leave":
                raise InvalidValue("untagged_after", str(self.untagged_after), "None where manifests are left")
