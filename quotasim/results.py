"""What the Registry answers with: small frozen values, exact ints, no arrays."""

from __future__ import annotations

from dataclasses import dataclass

from quotasim.accounting.quota import Verdict
from quotasim.accounting.selection import Hazard
from quotasim.units import format_bytes, format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Figures of a registry at one time; bytes are exact ints, None is a figure that the kind does not have.

    docs/semantics.md defines each of them.
    """

    as_of: int
    profile: str
    logical_bytes: int
    listed_bytes: int
    unique_bytes: int
    foreign_bytes: int
    charged_bytes: int
    counted_bytes: int | None
    reported_bytes: int
    stored_bytes: int
    upload_bytes: int
    reclaimable_bytes: int
    replicated_bytes: int | None
    limit_bytes: int | None
    unknown_size_count: int

    def __str__(self) -> str:
        limit = "no limit" if self.limit_bytes is None else f"limit {format_bytes(self.limit_bytes)}"
        return (
            f"{self.profile} at {format_time(self.as_of)}: charged {format_bytes(self.charged_bytes)} ({limit}), "
            f"reported {format_bytes(self.reported_bytes)}, stored {format_bytes(self.stored_bytes)}"
        )


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push.

    Attributes
    ----------
    accepted : False where the quota or a lock refused it; then nothing of the refused manifest was taken.
    manifest : its digest.
    uploaded_bytes : bytes that the registry did not have.
    deduplicated_bytes : bytes that it had already.
    verdict : the quota rule's word, with its numbers.
    """

    accepted: bool
    manifest: str
    uploaded_bytes: int
    deduplicated_bytes: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of one request of an upload.

    Attributes
    ----------
    accepted : False where the quota or a lock refused it.
    upload : its number, for the next request; None where it has ended.
    received_bytes : what has been sent of it so far.
    verdict : the quota rule's word, with its numbers.
    """

    accepted: bool
    upload: int | None
    received_bytes: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """An upload that has begun and not ended; ``started_at`` in microseconds since the epoch."""

    upload: int
    repository: str
    received_bytes: int
    started_at: int


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a deletion did at once; bytes that fall later are in the log when their time comes.

    ``deleted`` and ``refused`` name manifests as ``repository@digest``, ``untagged`` tags as ``repository:tag``.
    """

    deleted: tuple[str, ...]
    untagged: tuple[str, ...]
    refused: tuple[str, ...]
    freed_charged_bytes: int
    freed_stored_bytes: int


@dataclass(frozen=True, slots=True)
class GcResult:
    """What applying a plan did."""

    removed: int
    swept: int
    freed_charged_bytes: int
    freed_stored_bytes: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A linked manifest that lacks bytes which its registry should have.

    Attributes
    ----------
    tags : those on it in its repository, sorted.
    missing : digests of the blobs that are not stored, its own among them, sorted.
    """

    repository: str
    manifest: str
    tags: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldBlob:
    """One blob of an image and who else has it.

    Attributes
    ----------
    role : ``manifest``, ``config``, ``layer``; joined by ``+`` where it is more than one.
    holders : image rows of the registry that have it, this one included.
    held_by : names of the others, sorted.
    """

    digest: str
    size: int | None
    role: str
    holders: int
    held_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """Why deleting an image frees what it frees.

    Attributes
    ----------
    tags : all tags of the manifest in its repository; deleting one of several frees nothing.
    exclusive_bytes : what would leave the registry if exactly this reference went.
    shared_bytes : the rest of its distinct bytes, which other images hold, or its other tags.
    blobs : largest first.
    """

    reference: str
    manifest: str
    tags: tuple[str, ...]
    logical_bytes: int
    unique_bytes: int
    exclusive_bytes: int
    shared_bytes: int
    blobs: tuple[HeldBlob, ...]


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """The three totals after something happened at ``at`` (microseconds since the epoch)."""

    at: int
    charged_bytes: int
    reported_bytes: int
    stored_bytes: int
    cause: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a deletion and the kind's garbage collection will do, taken from doing it on a branch.

    Attributes
    ----------
    freed_charged_bytes, freed_stored_bytes : by how much the totals are lower in the end than now.
    already_reclaimable_bytes : the part of ``freed_stored_bytes`` that collection frees without this deletion.
    timeline : the totals each time one of them changes, from now on.
    deleted : manifests that go because of it, at once or by later collection, as ``repository@digest``.
    hazards : what it would break or take along.
    logical_bytes : of ``deleted``, each one's distinct blobs, as if nothing were shared. What follows says where they
        stay: ``freed_charged_bytes = logical_bytes - repeated_bytes - uncharged_bytes - shared_bytes - kept_bytes +
        other_freed_bytes``.
    repeated_bytes : what several of ``deleted`` have in common: the charge counts it once in each of its scopes.
    uncharged_bytes : of the rest, what was not charged: foreign layers; what no tag needs, where tags decide.
    shared_bytes : of the rest, what stays charged, and other manifests hold.
    kept_bytes : of the rest, what stays charged although no manifest holds it: uploaded by itself, or kept on the disk.
    other_freed_bytes : what the charge loses besides: of manifests that lose their tags and stay, where tags decide;
        what collection takes without this deletion, where the disk is charged.
    """

    freed_charged_bytes: int
    freed_stored_bytes: int
    already_reclaimable_bytes: int
    timeline: tuple[TimelineRow, ...]
    deleted: tuple[str, ...]
    hazards: tuple[Hazard, ...]
    logical_bytes: int
    repeated_bytes: int
    uncharged_bytes: int
    shared_bytes: int
    kept_bytes: int
    other_freed_bytes: int
