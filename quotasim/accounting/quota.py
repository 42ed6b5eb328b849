"""Quota rules and verdicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Decision(Enum):
    """What a rule says of a push."""

    ACCEPT = "accept"
    WARN = "warn"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client sees when a registry kind refuses an operation.

    Attributes
    ----------
    status : of the HTTP response; None: not known.
    code : of the error, as the distribution specification's error body has it; None: not known.
    message : the error's text; in a profile a template with names in braces.

    Examples
    --------
    >>> print(Refusal(403, "DENIED", "{used} of {limit} used").filled(used="9 B", limit="10 B"))
    403 DENIED: 9 B of 10 B used
    """

    status: int | None
    code: str | None
    message: str

    def filled(self, **names: object) -> Refusal:
        """Return it with the names in its message filled in."""
        return replace(self, message=self.message.format(**names))

    def __str__(self) -> str:
        head = " ".join(str(part) for part in (self.status, self.code) if part is not None)
        return f"{head}: {self.message}" if head else self.message


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's word on one operation, with its numbers.

    Attributes
    ----------
    decision : accepted, accepted with a warning (above what is included in the price, or near the limit), or refused.
    scope : the scope that was charged; ``""`` is the registry.
    used_bytes : its charge before the operation.
    needed_bytes : what the operation adds, or would have added.
    limit_bytes : the limit that it is held against, or None.
    reason : ``""``, ``"quota"``, ``"locked"``, ``"immutable tag"`` or ``"not linked"``; of a warning ``"included"``, or
        the part of the limit that is reached, such as ``"85 %"``.
    refusal : what the client of this kind sees, where it is refused and that is known.

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
    refusal: Refusal | None = None

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
        above = ""
        if self.decision is Decision.WARN and self.reason.endswith("%"):
            above = f", at least {self.reason} of the limit"
        elif self.decision is Decision.WARN:
            above = f", {over:,} above what is included"
        return f"accepted in {place}: {after:,} of {self.limit_bytes:,} bytes {numbers}{above})"
