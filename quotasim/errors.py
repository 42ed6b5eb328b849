"""The errors of quotasim: each is a full sentence, and carries its numbers and names as attributes.

Errors are for wrong calls and for broken input. What a registry itself refuses (a push over the quota) is a
result or an event, never an exception.

Every child keeps the arguments it was built from in ``args`` and makes its sentence only when it is printed,
so errors survive pickling between processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "CollectionAborted",
    "DigestConflict",
    "GateFailed",
    "ImmutableTagRefused",
    "IndexChildRefused",
    "InputRejected",
    "InvalidDigest",
    "InvalidReference",
    "InvalidValue",
    "Locked",
    "ManifestTooLarge",
    "NotRestorable",
    "Problem",
    "QuotaSimError",
    "ReferrersRefused",
    "Refused",
    "RunEnded",
    "SnapshotError",
    "StalePlan",
    "StateDamaged",
    "TagDeletionRefused",
    "TaggedManifestRefused",
    "TimeReversed",
    "UnknownBlob",
    "UnknownProfile",
    "UnknownReference",
    "UnknownRepository",
    "UnknownUpload",
    "WrongAnswer",
]

_SHOWN_PROBLEMS = 20
_SHOWN_CHARACTERS = 200


class QuotaSimError(Exception):
    """The parent of every error that quotasim raises on purpose.

    Attributes
    ----------
    exit_code : what the command line returns for it: 1 error, 2 wrong usage, 3 input rejected, 99 a gate
        failed.
    """

    exit_code: ClassVar[int] = 1


# -- names that are not there ----------------------------------------------------------------------


class UnknownReference(QuotaSimError):
    """No image has this reference.

    Attributes
    ----------
    reference : as it was asked for.
    nearest : existing references that look like it, best first; may be empty.
    """

    def __init__(self, reference: str, nearest: Iterable[str] = ()) -> None:
        self.reference = reference
        self.nearest = tuple(nearest)
        super().__init__(self.reference, self.nearest)

    def __str__(self) -> str:
        return _not_there("image", self.reference, self.nearest)


class UnknownRepository(QuotaSimError):
    """No repository has this name.

    Attributes
    ----------
    repository : as it was asked for.
    nearest : existing repositories that look like it, best first; may be empty.
    """

    def __init__(self, repository: str, nearest: Iterable[str] = ()) -> None:
        self.repository = repository
        self.nearest = tuple(nearest)
        super().__init__(self.repository, self.nearest)

    def __str__(self) -> str:
        return _not_there("repository", self.repository, self.nearest)


class UnknownBlob(QuotaSimError):
    """A repository does not have this blob: nothing links it there, or its bytes are no longer stored.

    Attributes
    ----------
    repository, digest : as they were asked for.
    """

    def __init__(self, repository: str, digest: str) -> None:
        self.repository = repository
        self.digest = digest
        super().__init__(repository, digest)

    def __str__(self) -> str:
        return f"repository {self.repository!r} does not have the blob {self.digest}"


class UnknownProfile(QuotaSimError):
    """No registry profile has this name.

    Attributes
    ----------
    name : as it was asked for.
    nearest : existing profiles that look like it, best first; may be empty.
    """

    def __init__(self, name: str, nearest: Iterable[str] = ()) -> None:
        self.name = name
        self.nearest = tuple(nearest)
        super().__init__(self.name, self.nearest)

    def __str__(self) -> str:
        return _not_there("profile", self.name, self.nearest)


# -- wrong arguments -------------------------------------------------------------------------------


class InvalidValue(QuotaSimError):
    """An argument has a value that it cannot have.

    Attributes
    ----------
    name : the argument.
    value : what was given.
    expected : what would have been right, to be read after "must be".
    """

    exit_code = 2

    def __init__(self, name: str, value: object, expected: str) -> None:
        self.name = name
        self.value = value
        self.expected = expected
        super().__init__(name, value, expected)

    def __str__(self) -> str:
        return f"{self.name} must be {self.expected}, not {_shown(self.value)}"


class InvalidReference(QuotaSimError):
    """A reference that the distribution spec's grammar does not allow.

    Attributes
    ----------
    reference : as it was given.
    reason : what is wrong with it.
    """

    exit_code = 2

    def __init__(self, reference: object, reason: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(reference, reason)

    def __str__(self) -> str:
        return f"{_shown(self.reference)} is not a reference: {self.reason}"


class InvalidDigest(QuotaSimError):
    """A digest that is neither sha256 nor sha512 in their one lower-case spelling.

    Attributes
    ----------
    digest : as it was given.
    reason : what is wrong with it.
    """

    exit_code = 2

    def __init__(self, digest: object, reason: str) -> None:
        self.digest = digest
        self.reason = reason
        super().__init__(digest, reason)

    def __str__(self) -> str:
        return f"{_shown(self.digest)} is not a digest: {self.reason}"


class TimeReversed(QuotaSimError):
    """Simulated time was asked to run backwards.

    Attributes
    ----------
    now, requested : microseconds since the epoch, UTC.
    """

    def __init__(self, now: int, requested: int) -> None:
        self.now = now
        self.requested = requested
        super().__init__(now, requested)

    def __str__(self) -> str:
        return (
            f"time cannot run backwards: {self.requested} (microseconds since the epoch, UTC) was requested, "
            f"which is {self.now - self.requested:,} before now, {self.now}"
        )


# -- content that contradicts what is known --------------------------------------------------------


class DigestConflict(QuotaSimError):
    """A known digest is now said to be something else. Content never changes, so one of the two is wrong.

    Attributes
    ----------
    digest : of the blob.
    known : what the catalogue holds.
    given : what the new mention says.
    field : what the two are: ``size`` in bytes, or another property of the blob such as ``foreign``.
    """

    def __init__(self, digest: str, known: object, given: object, field: str = "size") -> None:
        self.digest = digest
        self.known = known
        self.given = given
        self.field = field
        super().__init__(digest, known, given, field)

    def __str__(self) -> str:
        if self.field == "size":
            known, given = f"{self.known:,} bytes", f"{self.given:,} bytes"
        else:
            known, given = f"{self.field} {self.known!r}", f"{self.field} {self.given!r}"
        return f"blob {self.digest} is already known with {known}, and is now given with {given}"


class ManifestTooLarge(QuotaSimError):
    """A manifest lists more bytes than one manifest may.

    Attributes
    ----------
    digest : of the manifest.
    listed_bytes : what it lists, repeats counted as often as they are listed.
    limit : the most that it may list.
    """

    def __init__(self, digest: str, listed_bytes: int, limit: int) -> None:
        self.digest = digest
        self.listed_bytes = listed_bytes
        self.limit = limit
        super().__init__(digest, listed_bytes, limit)

    def __str__(self) -> str:
        return (
            f"manifest {self.digest} lists {self.listed_bytes:,} bytes, "
            f"{self.listed_bytes - self.limit:,} more than the {self.limit:,} that one manifest may list"
        )


# -- operations that the state does not allow ------------------------------------------------------


class Locked(QuotaSimError):
    """A lock forbids the operation.

    Attributes
    ----------
    reference : what is locked: a tag, a manifest or a repository.
    lock : the operation that it is locked against, ``write``, ``delete`` or ``read``: the argument of
        `Registry.lock` that would allow it again; or ``quarantine``, which `Registry.release` ends; or
        ``collection``: the registry is read only until the run has ended.
    """

    def __init__(self, reference: str, lock: str) -> None:
        self.reference = reference
        self.lock = lock
        super().__init__(reference, lock)

    def __str__(self) -> str:
        if self.lock == "collection":
            return f"{self.reference!r} cannot be changed: the registry is read only while a collection runs"
        if self.lock == "quarantine":
            return f"{self.reference!r} is in quarantine: it cannot be pulled until it is released"
        again = f"lock({self.reference!r}, {self.lock}=True) allows it again"
        return f"{self.reference!r} is locked against {self.lock}; {again}"


class Refused(QuotaSimError):
    """A registry of this kind refuses the operation. Each child is one rule of a kind.

    Attributes
    ----------
    reference : what the operation was asked for.
    status, code, message : what the kind's client sees; status and code are None where that is not known.
    """

    def __init__(self, reference: str, status: int | None, code: str | None, message: str) -> None:
        self.reference = reference
        self.status = status
        self.code = code
        self.message = message
        super().__init__(reference, status, code, message)

    def __str__(self) -> str:
        head = " ".join(str(part) for part in (self.status, self.code) if part is not None)
        return f"{self.reference!r} is refused{f' with {head}' if head else ''}: {self.message}"


class TagDeletionRefused(Refused):
    """The kind does not delete by tag."""


class IndexChildRefused(Refused):
    """The kind does not delete what an index that stays lists."""


class TaggedManifestRefused(Refused):
    """The kind does not delete a manifest by digest that has so many tags."""


class ImmutableTagRefused(Refused):
    """The tags of this registry are immutable: they do not move, or must stay."""


class ReferrersRefused(Refused):
    """The kind does not delete a manifest that others have as their subject."""


class NotRestorable(QuotaSimError):
    """What was to be restored cannot be.

    Attributes
    ----------
    reference : what was named.
    reason : why not.
    """

    def __init__(self, reference: str, reason: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(reference, reason)

    def __str__(self) -> str:
        return f"{self.reference!r} cannot be restored: {self.reason}"


class UnknownUpload(QuotaSimError):
    """There is no upload of the number ``upload``, or it has ended: finished, cancelled, purged, or refused."""

    def __init__(self, upload: int) -> None:
        self.upload = upload
        super().__init__(upload)

    def __str__(self) -> str:
        return f"upload {self.upload} is not there: it was finished, cancelled, purged or refused, or never began"


class RunEnded(QuotaSimError):
    """A step of a collection that is finished, or was aborted."""

    def __str__(self) -> str:
        return "the run has ended: start another one"


class StalePlan(QuotaSimError):
    """A plan was applied to a state that it was not made for.

    Attributes
    ----------
    planned_version : the state's version when the plan was made.
    state_version : the state's version now.
    """

    def __init__(self, planned_version: int, state_version: int) -> None:
        self.planned_version = planned_version
        self.state_version = state_version
        super().__init__(planned_version, state_version)

    def __str__(self) -> str:
        if self.planned_version == self.state_version:
            return f"the plan was made for version {self.planned_version} of another branch: make a new plan"
        return (
            f"the plan was made for version {self.planned_version} of the state, "
            f"which is now at version {self.state_version}: make a new plan"
        )


class CollectionAborted(QuotaSimError):
    """A garbage collection of this policy fails here, before it has changed anything.

    Attributes
    ----------
    repository : the one at which it fails: it has manifests, and never had a tag. None: the registry never stored
        anything.
    """

    def __init__(self, repository: str | None = None) -> None:
        self.repository = repository
        super().__init__(repository)

    def __str__(self) -> str:
        if self.repository is None:
            return "the collection fails: nothing was ever stored in this registry"
        return f"the collection fails at repository {self.repository!r}: it has manifests and never had a tag"


class StateDamaged(QuotaSimError):
    """Structural rules of the state do not hold: a fault of quotasim, never of the input.

    Attributes
    ----------
    damage : one sentence for each broken rule, with the rows and numbers.
    """

    def __init__(self, damage: Sequence[str]) -> None:
        self.damage = tuple(damage)
        super().__init__(self.damage)

    def __str__(self) -> str:
        return "the state is damaged: " + "; ".join(self.damage)


class GateFailed(QuotaSimError):
    """A figure crossed the threshold that the caller set as a gate.

    Attributes
    ----------
    gate : the figure's name.
    measured, threshold : in the same unit.
    """

    exit_code = 99

    def __init__(self, gate: str, measured: float, threshold: float) -> None:
        self.gate = gate
        self.measured = measured
        self.threshold = threshold
        super().__init__(gate, measured, threshold)

    def __str__(self) -> str:
        return f"gate failed: {self.gate} is {self.measured:,}, and may be at most {self.threshold:,}"


class WrongAnswer(QuotaSimError):
    """What a benchmark timed has not given the right answer, so that its time means nothing.

    Attributes
    ----------
    contender : what it was.
    """

    def __init__(self, contender: str) -> None:
        self.contender = contender
        super().__init__(contender)

    def __str__(self) -> str:
        return f"{self.contender} gave a wrong answer; its time means nothing"


# -- input from files ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input file.

    Attributes
    ----------
    file : its name, as the user knows it.
    row : 0-based row of the table; None if the problem is not one row's.
    column : None if the problem is not one column's.
    message : what is wrong, with the value that is.

    Examples
    --------
    >>> print(Problem("layers.parquet", 17, "blob_id", "5 is not a blob_id of blobs.parquet"))
    layers.parquet, row 17, column 'blob_id': 5 is not a blob_id of blobs.parquet
    """

    file: str
    row: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row:,}"
        column = "" if self.column is None else f", column {self.column!r}"
        return f"{self.file}{row}{column}: {self.message}"


class InputRejected(QuotaSimError):
    """The input is broken. All of its problems were collected, and nothing was written.

    Attributes
    ----------
    problems : every problem found, in the order of files and rows.
    """

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"the input has {count:,} problem{'' if count == 1 else 's'}, and nothing was written:"
        lines = [head, *(f"  {problem}" for problem in self.problems[:_SHOWN_PROBLEMS])]
        if count > _SHOWN_PROBLEMS:
            lines.append(f"  and {count - _SHOWN_PROBLEMS:,} more")
        return "\n".join(lines)


class SnapshotError(QuotaSimError):
    """A snapshot cannot be read or written.

    Attributes
    ----------
    path : of the snapshot, or of the file in it that is wrong.
    reason : what is wrong with it.
    """

    exit_code = 3

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = reason
        super().__init__(self.path, reason)

    def __str__(self) -> str:
        return f"snapshot {self.path!r}: {self.reason}"


# -- the words of a message ------------------------------------------------------------------------


def _not_there(kind: str, name: str, nearest: tuple[str, ...]) -> str:
    message = f"there is no {kind} {_shown(name)}"
    if nearest:
        message += f"; the nearest there is: {', '.join(repr(other) for other in nearest)}"
    return message


def _shown(value: object) -> str:
    """`repr`, cut where a hostile or accidental value would fill the screen."""
    text = repr(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"
