"""The Registry: one simulated registry of one kind, to push to, delete from, ask, and branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim import deletion, explain, lookup, outcomes, populate
from quotasim.administration import Administration
from quotasim.collecting import Collecting
from quotasim.engine import Engine, Outcome, operations
from quotasim.errors import (
    InvalidReference,
    InvalidValue,
    TimeReversed,
    UnknownBlob,
)
from quotasim.kernels import NULL, layout
from quotasim.model.catalogue import add_manifest, children_first
from quotasim.model.oci import Image, Index, parse_reference
from quotasim.profiles import by_name
from quotasim.profiles.base import RegistryProfile
from quotasim.requests import Requests
from quotasim.results import DeleteResult, Preview, PushResult
from quotasim.units import parse_duration, parse_size, parse_time
from quotasim.uploads import scope_of

if TYPE_CHECKING:
    import os

    from quotasim.importers.trace_table import TraceTable
    from quotasim.retention.rules import RetentionPolicy

Array = npt.NDArray[Any]

TRACE_NAME = "trace.parquet"


class Registry(Requests, Administration, Collecting):
    """A simulated container registry of one kind.

    Parameters
    ----------
    profile : a profile's name, or a :class:`RegistryProfile`.
    start : the time at which it begins, an ISO date or time (UTC) or an aware datetime.
    limit : bytes that each scope of the profile may be charged: an int or ``"500 GiB"``; by default the profile's
        limit.
    seed : of what the kind leaves to chance (``review_jitter``); None: nothing is.

    Examples
    --------
    >>> from quotasim import Blob
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> base, layer = Blob.synthetic("alpine", 3_000_000), Blob.synthetic("1 GiB", 2**30)
    >>> pushed = registry.push("1gb:latest", Image([base, layer]))
    >>> pushed.accepted, pushed.uploaded_bytes > 2**30
    (True, True)
    >>> registry.usage().reported_bytes
    0
    >>> registry.advance("5min")
    >>> registry.usage().reported_bytes == registry.usage().charged_bytes
    True
    """

    def __init__(
        self,
        profile: str | RegistryProfile,
        *,
        start: str | datetime = "2026-01-01",
        limit: int | str | None = None,
        seed: int | None = None,
    ) -> None:
        chosen = by_name(profile) if isinstance(profile, str) else profile
        if not isinstance(chosen, RegistryProfile):
            raise InvalidValue("profile", profile, "a profile's name or a RegistryProfile")
        if limit is not None:
            from dataclasses import replace

            chosen = replace(chosen, limit=parse_size(limit, name="limit"), included=None)
        self._engine = Engine(chosen, parse_time(start, name="start"))
        if seed is not None and not 0 <= seed < 2**31:
            raise InvalidValue("seed", seed, "a number from 0 to 2**31 - 1, or None")
        self._engine.seed = seed
        self._engine.sync()
        self.name = ""

    @classmethod
    def from_engine(cls, engine: Engine, name: str = "") -> Registry:
        """Wrap an engine that an importer or a snapshot made."""
        registry = cls.__new__(cls)
        registry._engine = engine
        registry.name = name
        engine.sync()
        return registry

    # --- operations -------------------------------------------------------------------------------------------
    def push(self, reference: str, manifest: Image | Index) -> PushResult:
        """Push a manifest with its blobs.

        Parameters
        ----------
        reference : ``repo:tag``, ``repo`` (the tag ``latest``), or ``repo@digest`` for a push without a tag.
        manifest : an image or an index; children at hand are pushed first, by digest.

        Returns
        -------
        PushResult; ``accepted`` is False where the quota or a lock refused it.

        Raises
        ------
        InvalidReference : a digest is given and it is another one than the manifest's.
        DigestConflict : a digest of it is known with another size.

        Notes
        -----
        O(descriptors of the manifest).
        """
        ref = parse_reference(reference)
        if not isinstance(manifest, Image | Index):
            raise InvalidValue("manifest", manifest, "an Image or an Index")
        if ref.untagged or (ref.digest is not None and ref.digest != manifest.digest):
            raise InvalidReference(reference, f"the manifest pushed is {manifest.digest}")
        engine = self._engine
        row = add_manifest(engine.content, manifest)
        repository = engine.names.add_repository(ref.repository)
        rows = [*children_first(engine.content, manifest), row]
        tags = [NULL] * (len(rows) - 1) + [
            NULL if ref.tag is None else lookup.tag_row(self._engine, repository, ref.tag)
        ]
        links = engine.add_links(np.full(len(rows), repository), np.array(rows))
        engine.sync()
        scope, used = scope_of(engine, repository)
        codes = np.full(len(rows), layout.OP_PUSH)
        outcome = self._apply(codes, link=links, tag=np.array(tags), repository=np.full(len(rows), repository))
        return outcomes.push_result(self._engine, manifest, rows, outcome, scope, used, reference)

    def push_index(self, reference: str, images: Mapping[str, Image | Index] | Index) -> PushResult:
        """Push images by digest and an index over them, in one batch.

        Parameters
        ----------
        images : images by platform, ``{"linux/amd64": image, ...}``, or an :class:`Index`.
        """
        if isinstance(images, Index):
            return self.push(reference, images)
        return self.push(reference, Index([image.on(platform) for platform, image in images.items()]))

    def tag(self, reference: str, tag: str) -> None:
        """Point a tag of the same repository to a manifest that is linked there.

        Raises
        ------
        UnknownReference : ``reference`` names nothing here.
        UnknownBlob : the repository does not have a part of the manifest, where the kind looks at that.
        Locked : the repository or the tag is locked against writing.
        ImmutableTagRefused : the tag points elsewhere, and this registry's tags do not move.
        """
        ref, link = lookup.find(self._engine, reference)
        target = parse_reference(f"{ref.repository}:{tag}")
        if self.profile.tag_needs_parts and (missing := lookup.missing_part(self._engine, link)) is not None:
            raise UnknownBlob(ref.repository, missing)
        repository = int(self._engine.names.links.first[link])
        row = lookup.tag_row(self._engine, repository, target.tag or "")
        self._engine.sync()
        lookup.refuse_locked(self._engine, str(target), layout.LOCK_WRITE, repository=repository, tag=row)
        if self._engine.state.read("tag_link")[row] not in (NULL, link):
            lookup.refuse_immutable(self._engine, str(target), ("move", "keep"))
        self._apply(
            np.array([layout.OP_TAG]),
            link=np.array([link]),
            tag=np.array([row]),
            repository=np.array([repository]),
        )

    def untag(self, reference: str) -> None:
        """Remove a tag and nothing else.

        Raises
        ------
        InvalidReference : it is no ``repo:tag``.
        UnknownReference, Locked
        ImmutableTagRefused : this registry's tags must stay.
        """
        ref, link = lookup.find(self._engine, reference)
        if ref.tag is None:
            raise InvalidReference(reference, "only a tag can be removed; give repository:tag")
        repository = int(self._engine.names.links.first[link])
        row = self._engine.names.find_tag(repository, ref.tag)
        lookup.refuse_locked(self._engine, str(ref), layout.LOCK_DELETE, repository=repository, tag=row)
        lookup.refuse_immutable(self._engine, str(ref), ("keep",))
        self._apply(
            np.array([layout.OP_UNTAG]),
            link=np.array([link]),
            tag=np.array([row]),
            repository=np.array([repository]),
        )

    def delete(self, *references: str) -> DeleteResult:
        """Delete as the kind does, one after another, in one batch.

        Parameters
        ----------
        references : ``repo:tag`` (what that means is the profile's ``delete_by_tag``), ``repo@digest``, or
            ``repo@untagged`` for
            every untagged manifest of the repository, children of tagged indexes among them.

        Raises
        ------
        UnknownReference : one names nothing here; nothing is deleted.
        Locked : one is locked against deletion; nothing is deleted. ``repo@untagged`` passes over locked manifests
            and lists them as ``refused``.
        Refused : the kind does not delete one of them so (a child of it says why); nothing is deleted.
            ``repo@untagged`` passes over these too.
        """
        if not references:
            raise InvalidValue("references", references, "at least one reference")
        steps = deletion.checked_steps(self._engine, references)
        if not steps:
            return DeleteResult((), (), (), 0, 0)
        return outcomes.delete_result(self._engine, deletion.carry_out(self._engine, steps))

    def delete_repository(self, repository: str) -> DeleteResult:
        """Delete every manifest of a repository, in digest order, then its uploaded blobs.

        Raises
        ------
        UnknownRepository, Locked
        """
        engine = self._engine
        row = lookup.repository_row(self._engine, repository)
        lookup.refuse_locked(self._engine, repository, layout.LOCK_DELETE, repository=row)
        for link in engine.linked_in(row).tolist():
            lookup.refuse_locked(self._engine, repository, layout.LOCK_DELETE, repository=row, link=link)
        return outcomes.delete_result(self._engine, engine.delete_repository(row, self.now))

    def pull(self, reference: str) -> str:
        """Note that an image is pulled now; returns the digest of its manifest.

        Raises
        ------
        UnknownReference
        Locked : it is locked against reading, or in quarantine.
        """
        ref, link = lookup.find(self._engine, reference)
        engine = self._engine
        repository = int(engine.names.links.first[link])
        tag = NULL if ref.tag is None else engine.names.find_tag(repository, ref.tag)
        lookup.refuse_unreadable(engine, str(ref), link, tag)
        self._apply(
            np.array([layout.OP_PULL]),
            link=np.array([link]),
            tag=np.array([tag]),
            repository=np.array([repository]),
        )
        return lookup.digest_of(self._engine, link)

    def advance(self, duration: str | timedelta | None = None, *, to: str | datetime | None = None) -> None:
        """Let time pass, by a duration (``"5min"``) or to a time; what falls due, and scheduled runs, happen.

        Raises
        ------
        TimeReversed : ``to`` lies before :attr:`now`.
        """
        if (duration is None) == (to is None):
            raise InvalidValue("duration", duration, "either a duration or a time to advance to")
        until = self.now + parse_duration(duration) if duration is not None else parse_time(to or "", name="to")
        if until < self.now:
            raise TimeReversed(self.now, until)
        self.let_pass(until)

    def replay(self, trace: str | os.PathLike[str] | TraceTable) -> None:
        """Apply a trace's operations, from the registry's time on, with the runs that are scheduled on the way.

        Parameters
        ----------
        trace : as of :func:`quotasim.replay`. What is refused is an event in :meth:`events`.

        Raises
        ------
        InputRejected : the trace has faults.
        TimeReversed : it begins before the registry's time.

        Notes
        -----
        O(references + operations).
        """
        from quotasim.importers.load_trace import LoadedTrace

        loaded = LoadedTrace(as_trace(trace), self._engine)
        if loaded.time.size:
            if loaded.time[0] < self.now:
                raise TimeReversed(self.now, int(loaded.time[0]))
            self.let_pass(int(loaded.time[-1]), loaded.on(self._engine))

    def retain(self, policy: RetentionPolicy) -> DeleteResult:
        """Remove what a retention policy does not keep, in one batch: tags, and the manifests that go with them.

        What a lock protects stays (:meth:`select` says so); what the kind refuses is passed over and listed as
        ``refused``. Where deleting a manifest only ends its tags, manifests are left to the collector.

        Notes
        -----
        O(tags log tags + links + references of what goes).

        Examples
        --------
        >>> from quotasim import Blob, KeepNewest, RetentionPolicy
        >>> registry = Registry("acr-premium")
        >>> for number in range(3):
        ...     _ = registry.push(f"app:{number}", Image([Blob.synthetic(f"layer {number}", 100)]))
        ...     registry.advance("1d")
        >>> registry.retain(RetentionPolicy([KeepNewest(1)])).untagged
        ('app:0', 'app:1')
        """
        return outcomes.delete_result(self._engine, deletion.retain(self._engine, self.select(policy)))

    def preview(self, *, delete: Sequence[str] | None = None, policy: RetentionPolicy | None = None) -> Preview:
        """Return what deleting these references, or applying a retention policy, will free, and when: done on a branch,
        so that it is what happens.

        Where a lock or the kind would refuse the deletion, nothing goes, and a blocking hazard says what is refused. Of
        a policy's, what is refused is passed over.

        Raises
        ------
        UnknownReference, InvalidValue
        """
        if (delete is None) == (policy is None):
            raise InvalidValue("delete", delete, "either references to delete or a policy")
        if policy is not None:
            selected = self.select(policy)

            def remove(branch: Registry) -> DeleteResult:
                return outcomes.delete_result(branch.engine, deletion.retain(branch.engine, selected))

            hazards = deletion.find_hazards(self._engine, deletion.retention_steps(self._engine, selected), ())
            return explain.preview(self, remove, tuple(hazards))
        if delete is None or isinstance(delete, str) or not delete:
            raise InvalidValue("delete", delete, "a list of references, at least one")
        return explain.preview(self, lambda branch: branch.delete(*delete), tuple(self.hazards(delete=delete)))

    # --- branches ---------------------------------------------------------------------------------------------
    def branch(self, name: str = "") -> Registry:
        """Return an independent registry with the same past. Under a millisecond: arrays are copied when first
        written.
        """
        other = Registry.__new__(Registry)
        other._engine = self._engine.branch()
        other.name = name
        return other

    def under(self, profile: str | RegistryProfile) -> Registry:
        """Return a registry of another kind that holds the same now, with the same times. O(references).

        Nothing is refused at the other kind's limit, and its collector starts from here.
        """
        chosen = by_name(profile) if isinstance(profile, str) else profile
        return Registry.from_engine(populate.under(self._engine, chosen), self.name)

    # --- inside -----------------------------------------------------------------------------------------------
    def _apply(self, codes: Array, **columns: Array) -> Outcome:
        """Apply one batch at the registry's time."""
        return self._engine.apply(operations(codes, np.full(codes.shape[0], self.now, np.int64), **columns))


def load(path: str | os.PathLike[str]) -> Registry:
    """Return the registry that :meth:`Registry.save` wrote.

    Raises
    ------
    SnapshotError : the directory is no snapshot, or was damaged.
    """
    from quotasim import snapshot

    return Registry.from_engine(snapshot.load_engine(path))


def replay(trace: str | os.PathLike[str] | TraceTable, *, profile: str | RegistryProfile = "refcount") -> Registry:
    """Return a registry that a trace was applied to, from its first event to its last.

    Parameters
    ----------
    trace : a ``.jsonl.zst`` or Parquet trace, a snapshot directory that an import with ``tag_events`` wrote, a
        directory of tables with ``tag_events``, or a read trace.
    profile : a profile's name, or a :class:`RegistryProfile`.

    Raises
    ------
    InputRejected : the trace has faults; carries all of them.

    Notes
    -----
    A refused push is an event in ``events()``, not an exception. O(references + operations).
    """
    from quotasim.importers.load_trace import replay_trace

    chosen = by_name(profile) if isinstance(profile, str) else profile
    return Registry.from_engine(replay_trace(as_trace(trace), chosen))


def import_tables(
    directory: str | os.PathLike[str],
    *,
    profile: str | RegistryProfile = "distribution-2.8",
    untagged: Literal["drop", "keep"] = "drop",
) -> Registry:
    """Return a registry that holds what tables say it holds now; what ``quotasim import tables`` saves.

    Parameters
    ----------
    directory : of the tables ``blobs``, ``manifests``, ``layers`` and others, CSV or Parquet;
        `quotasim.importers.table_schema` describes them.
    profile : a profile's name, or a :class:`RegistryProfile`.
    untagged : whether manifests that no tag points to in the end are linked all the same.

    Raises
    ------
    InputRejected : the tables have faults; carries all of them.
    UnknownProfile : there is no such kind.

    Notes
    -----
    O(references). :func:`replay` lives through the history of tables that have one.
    """
    from pathlib import Path

    from quotasim.importers.load import engine_from_tables
    from quotasim.importers.tables import read_tables

    chosen = by_name(profile) if isinstance(profile, str) else profile
    return Registry.from_engine(engine_from_tables(read_tables(Path(directory)), chosen, untagged=untagged))


def as_trace(trace: str | os.PathLike[str] | TraceTable) -> TraceTable:
    """Return a trace that is read, or read it; what :func:`replay` takes.

    Raises
    ------
    InputRejected : the trace has faults; carries all of them.
    """
    from pathlib import Path

    from quotasim.importers.tables import read_tables
    from quotasim.importers.trace_table import TraceTable, trace_from_tables
    from quotasim.importers.traces import read_trace

    if isinstance(trace, TraceTable):
        return trace
    given = Path(trace)
    if not given.is_dir():
        return read_trace(given)
    file = given / TRACE_NAME
    return read_trace(file) if file.exists() else trace_from_tables(read_tables(given))
