"""Quota rules and verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Decision(Enum):
    """What a rule says of a push."""

    ACCEPT = "accept"
    WARN = "warn"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's word on one operation, with its numbers.

    Attributes
    ----------
    decision : accepted, accepted above what is included in the price, or refused.
    scope : the scope that was charged; ``""`` is the registry.
    used_bytes : its charge before the operation.
    needed_bytes : what the operation adds, or would have added.
    limit_bytes : the limit that it is held against, or None.
    reason : ``""``, ``"quota"``, ``"locked"`` or ``"not linked"``.

    Examples
    --------
    >>> print(Verdict(Decision.REJECT, "team-a", 9, 3, 10, "quota"))
    refused in 'team-a': it would use 12 of 10 bytes (9 used now, 3 new, 2 over the limit)
    """

    decision: Decision
    scope: str
    used_bytes: int
    needed_bytes: int
    limit_bytes: int | None
    reason: str = ""

    def __str__(self) -> str:
        place = f"'{self.scope}'" if self.scope else "the registry"
        after = self.used_bytes + self.needed_bytes
        if self.decision is Decision.REJECT and self.reason != "quota":
            return f"refused in {place}: {self.reason}"
        numbers = f"({self.used_bytes:,} used now, {self.needed_bytes:,} new"
        if self.limit_bytes is None:
            return f"accepted in {place}: {after:,} bytes {numbers}, no limit)"
        over = max(after - self.limit_bytes, 0)
        if self.decision is Decision.REJECT:
            return (
                f"refused in {place}: it would use {after:,} of {self.limit_bytes:,} bytes {numbers}, "
                f"{over:,} over the limit)"
            )
        above = f", {over:,} above what is included" if self.decision is Decision.WARN else ""
        return f"accepted in {place}: {after:,} of {self.limit_bytes:,} bytes {numbers}{above})"
