"""The engine and the oracle side by side: the same operations on both, and the comparison of all they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TypeVar

import pytest

import quotasim as qs
from quotasim.errors import (
    CollectionAborted,
    ImmutableTagRefused,
    IndexChildRefused,
    Locked,
    NotRestorable,
    ReferrersRefused,
    TagDeletionRefused,
    TaggedManifestRefused,
    UnknownBlob,
    UnknownReference,
    UnknownRepository,
)

from . import oracle
from .strategies import LAYERS, SECOND, START, Thing, gc_rules_of, oracle_blob, rules_of

BASES = ("TAGGED", "REFERENCED", "LINKED")
GROUPS = ("image", "repository", "namespace", "registry")
REFUSED = {
    "tag": TagDeletionRefused,
    "child": IndexChildRefused,
    "referrer": ReferrersRefused,
    "tags": TaggedManifestRefused,
    "immutable": ImmutableTagRefused,
}
FIGURES = (
    "logical_bytes",
    "listed_bytes",
    "unique_bytes",
    "foreign_bytes",
    "charged_bytes",
    "reported_bytes",
    "stored_bytes",
    "upload_bytes",
    "counted_bytes",
    "reclaimable_bytes",
    "unknown_size_count",
)
T = TypeVar("T")


def nonzero(figures: Mapping[str, int]) -> dict[str, int]:
    """Leave out the scopes in which there is nothing."""
    return {name: number for name, number in figures.items() if number}


def pick(things: Iterable[T], which: int) -> T:
    """Return one of some things."""
    listed = list(things)
    return listed[which % len(listed)]


class Pair:
    """The engine and the oracle, given the same operations, and compared.

    Arguments called ``which`` choose among what is there now, so that any numbers make a valid program.
    Where the oracle refuses a call the engine must too, and nothing may change.
    """

    def __init__(self, profile: qs.RegistryProfile) -> None:
        self.engine = qs.Registry(profile, start=START)
        self.oracle = oracle.OracleRegistry(rules_of(profile), start=self.engine.now)
        self.runs: list[tuple[qs.GcMarking | qs.GcRun, oracle.Run]] = []  # collections under way
        self.numbers: dict[int, int] = {}  # the oracle's numbers of uploads -> the engine's

    def branch(self) -> Pair:
        """Return a pair of branches."""
        other = object.__new__(Pair)
        other.engine, other.oracle = self.engine.branch("branch"), self.oracle.branch()
        other.numbers = dict(self.numbers)
        other.runs = []  # a branch has none of its parent's
        return other

    # What is there

    def tags(self) -> list[str]:
        """Return every tag of a manifest that can be read, as references."""
        there = self.oracle.readable()
        tags = self.oracle.tags.items()
        return sorted(f"{where}:{name}" for (where, name, _), digest in tags if (where, digest) in there)

    def links(self) -> list[str]:
        """Return every linked manifest that can be read, as references."""
        return sorted(f"{repository}@{digest}" for repository, digest in self.oracle.readable())

    def blobs(self) -> list[tuple[str, str]]:
        """Return every (repository, config or layer that a client may think is there)."""
        named = {
            (repository, blob)
            for repository, digest in self.oracle.links
            for blob in self.oracle.manifests[digest].blobs()
        }
        return sorted(named | self.oracle.blob_links)

    def references(self, which: Iterable[int]) -> list[str]:
        """Return some references, tags and digests mixed."""
        there = self.tags() + self.links()
        return list(dict.fromkeys(pick(there, one) for one in which)) if there else []

    def key(self, reference: str) -> tuple[str, str, str]:
        """Return a reference as the oracle writes it: (repository, "tag" or "digest", name)."""
        repository, at, digest = reference.partition("@")
        if at:
            return repository, "digest", digest
        repository, _, name = reference.partition(":")
        return repository, "tag", name

    def resolve(self, reference: str) -> tuple[str, str]:
        """Return the (repository, digest) that a reference names."""
        repository, kind, name = self.key(reference)
        return repository, self.oracle.target(repository, name) if kind == "tag" else name

    # Operations

    def both(self, of_engine: Callable[[], object], of_oracle: Callable[[], object]) -> None:
        """Do one thing on both; where the oracle refuses the call, so must the engine."""
        try:
            of_oracle()
        except oracle.Locked:
            with pytest.raises(Locked):
                of_engine()
        except oracle.Refused as refused:
            (rule,) = refused.args
            with pytest.raises(REFUSED[rule]) as caught:
                of_engine()
            assert caught.value.message
        except oracle.NotThere:
            with pytest.raises((UnknownBlob, UnknownReference, UnknownRepository)):
                of_engine()
        else:
            of_engine()

    def push(self, repository: str, thing: Thing, tag: str | None) -> None:
        """Push an image; or an index, with its children before it."""
        pieces = [*thing.before(), thing]
        stores = self.oracle.rules.stores_foreign
        sent = {
            digest for piece in pieces for digest, blob in piece.oracle.blobs().items() if stores or not blob.foreign
        }
        there = sent & set(self.oracle.stored)
        used = self.oracle.counted(self.oracle.scope_name(self.oracle.rules.scope, repository))
        accepted = self.oracle.push_all(repository, [piece.oracle for piece in pieces], tag)
        reference = f"{repository}@{thing.digest}" if tag is None else f"{repository}:{tag}"
        result = self.engine.push(reference, thing.engine)
        self.judge(result.verdict, used)
        assert (result.accepted, result.manifest) == (accepted, thing.digest)
        if accepted:
            assert result.uploaded_bytes == self.oracle.size_of(sent - there)
            assert result.deduplicated_bytes == self.oracle.size_of(there)

    def judge(self, verdict: qs.Verdict, used: int) -> None:
        """Check a verdict's numbers, and that it warns where the profile says so."""
        profile, after = self.engine.profile, verdict.used_bytes + verdict.needed_bytes
        assert verdict.used_bytes == used
        if verdict.decision is qs.Decision.REJECT:
            words = {"quota": profile.refusal, "immutable tag": profile.immutable_refusal}.get(verdict.reason)
            assert (verdict.refusal is None) == (words is None)
            return
        warns = profile.included is not None and after > profile.included
        if profile.limit is not None and profile.warn_at is not None:
            warns |= 100 * after >= profile.warn_at * profile.limit
        assert (verdict.decision is qs.Decision.WARN) == warns

    def upload(self, repository: str, layer: int) -> None:
        """Upload a layer, whether or not a manifest names it."""
        accepted = self.oracle.upload(repository, oracle_blob(LAYERS[layer]))
        assert self.engine.upload(repository, LAYERS[layer]).accepted == accepted

    def mount(self, which: int, target: str) -> None:
        """Mount a blob that may be in its source, or may be gone from there."""
        if self.blobs():
            source, digest = pick(self.blobs(), which)
            accepted: list[bool] = []
            self.both(
                lambda: accepted.append(self.engine.mount(digest, source, target).accepted),
                lambda: accepted.append(self.oracle.mount(digest, source, target)),
            )
            assert len(set(accepted)) <= 1

    def delete_blob(self, which: int) -> None:
        """Delete a blob in one repository, or try to where it is gone."""
        if self.blobs():
            where, digest = pick(self.blobs(), which)
            self.both(lambda: self.engine.delete_blob(where, digest), lambda: self.oracle.delete_blob(where, digest))

    def ask_for_the_unreadable(self) -> None:
        """Name what is linked and was swept: for every call by reference it is not there."""
        for repository, digest in sorted(set(self.oracle.links) - self.oracle.readable()):
            for call in (self.engine.pull, self.engine.delete, lambda named: self.engine.tag(named, "new")):
                with pytest.raises(UnknownReference):
                    call(f"{repository}@{digest}")

    def upload_manifest(self, repository: str, thing: Thing) -> None:
        """Upload the bytes of a manifest as if they were any blob."""
        accepted = self.oracle.upload(repository, thing.oracle.own)
        assert self.engine.upload(repository, qs.Blob(thing.digest, thing.oracle.own.size)).accepted == accepted

    # Pushes in steps

    def begin(self, repository: str) -> None:
        """Begin an upload."""
        begun = self.oracle.begin(repository)
        result = self.engine.start_upload(repository)
        assert result.accepted == (begun is not None)
        if begun is not None:
            assert result.upload is not None
            self.numbers[begun] = result.upload
            assert [upload.upload for upload in self.engine.uploads()] == self.open()

    def open(self) -> list[int]:
        """Return the engine's numbers of the uploads that have not ended."""
        return [self.numbers[number] for number, upload in self.oracle.uploads.items() if upload.is_session]

    def append(self, which: int, size: int) -> None:
        """Send a part of an upload."""
        if self.oracle.uploads:
            number = pick(self.oracle.uploads, which)
            accepted = self.oracle.append(number, size)
            result = self.engine.append(self.numbers[number], size)
            assert result.accepted == accepted
            assert (result.upload is None) == (number not in self.oracle.uploads)
            if number in self.oracle.uploads:
                assert result.received_bytes == self.oracle.uploads[number].bytes

    def reserve(self, which: int, layer: int) -> None:
        """Let the end of an upload arrive."""
        self.end_of_upload(which, layer, self.engine.reserve_upload, self.oracle.reserve)

    def finish(self, which: int, layer: int) -> None:
        """Finish an upload."""
        self.end_of_upload(which, layer, self.engine.finish_upload, self.oracle.finish)

    def end_of_upload(
        self, which: int, layer: int, of_engine: Callable[..., qs.PushResult], of_oracle: Callable[..., bool]
    ) -> None:
        """Do one of the steps that name the blob."""
        if not self.oracle.uploads:
            return
        number, blob = pick(self.oracle.uploads, which), LAYERS[layer]
        if blob.size is not None and self.oracle.uploads[number].bytes > blob.size:
            with pytest.raises(qs.InvalidValue):
                of_engine(self.numbers[number], blob)
        elif of_oracle == self.oracle.finish or self.oracle.uploads[number].reserved is None:
            accepted = of_oracle(number, oracle_blob(blob))
            assert of_engine(self.numbers[number], blob).accepted == accepted

    def cancel(self, which: int) -> None:
        """Give an upload up."""
        if self.oracle.uploads:
            number = pick(self.oracle.uploads, which)
            received = self.oracle.uploads[number].bytes
            self.oracle.cancel(number)
            assert self.engine.cancel_upload(self.numbers[number]) == received
            with pytest.raises(qs.UnknownUpload):
                self.engine.append(self.numbers[number], 1)

    def purge(self, age: int) -> None:
        """Purge old uploads."""
        before = self.oracle.upload_bytes()
        self.oracle.purge(age)
        freed = self.engine.purge_uploads(f"{age // SECOND}s")
        assert freed == before - self.oracle.upload_bytes()

    def put_manifest(self, repository: str, thing: Thing, tag: str | None) -> None:
        """Push a manifest alone, whether its parts are there or not."""
        reference = f"{repository}@{thing.digest}" if tag is None else f"{repository}:{tag}"
        accepted: list[bool] = []
        self.both(
            lambda: accepted.append(self.engine.put_manifest(reference, thing.engine).accepted),
            lambda: accepted.append(self.oracle.put_manifest(repository, thing.oracle, tag)),
        )
        assert len(set(accepted)) <= 1

    def copy(self, which: int, repository: str, tag: str | None) -> None:
        """Copy something into a repository."""
        for source in self.references([which]):
            where, digest = self.resolve(source)
            target = f"{repository}@{digest}" if tag is None else f"{repository}:{tag}"
            accepted = self.oracle.copy(where, digest, repository, tag)
            assert self.engine.copy(source, target).accepted == accepted

    # What administrators do

    def restore(self, which: int, *, force: bool) -> None:
        """Restore a tag or a manifest that may be deleted, kept, gone or there."""
        hidden = [f"{repository}@{digest}" for repository, digest in sorted(self.oracle.hidden)]
        gone = [f"{repository}:{name}" for repository, name, _ in sorted(self.oracle.last_target)]
        if there := [*hidden, *gone, *self.links()[:1]]:
            reference = pick(there, which)
            repository, kind, name = self.key(reference)
            digest, tag = (None, name) if kind == "tag" else (name, None)
            try:
                self.oracle.restore(repository, digest, tag, force=force)
            except oracle.NotRestorable:
                with pytest.raises(NotRestorable):
                    self.engine.restore(reference, force=force)
            except (oracle.Locked, oracle.Refused) as refused:
                with pytest.raises(Locked if isinstance(refused, oracle.Locked) else ImmutableTagRefused):
                    self.engine.restore(reference, force=force)
            else:
                self.engine.restore(reference, force=force)

    def miscount(self, repository: str, size: int) -> None:
        """Let the vendor's counter go wrong."""
        known = repository in self.known()
        scope = self.oracle.scope_name(self.oracle.rules.scope, repository)
        if not known or not self.oracle.rules.own_counter or self.oracle.counted(scope) + size < 0:
            return
        if scope not in self.oracle.standing:
            self.oracle.miscount(repository, size)
            self.engine.miscount(repository, size)

    def recount(self) -> None:
        """Let the vendor count anew."""
        if self.oracle.rules.own_counter:
            self.oracle.recount()
            self.engine.recount()

    def start_backfill(self) -> None:
        """Let the counter stand still, and be filled by and by."""
        if self.oracle.rules.backfill is not None:
            self.oracle.start_backfill(list(self.engine.charged_by_scope()))
            self.engine.start_backfill()

    def tag(self, which: int, name: str) -> None:
        """Tag a linked manifest."""
        if self.links():
            reference = pick(self.links(), which)
            repository, digest = self.resolve(reference)
            self.both(lambda: self.engine.tag(reference, name), lambda: self.oracle.tag(repository, digest, name))

    def untag(self, which: int) -> None:
        """Remove a tag."""
        if self.tags():
            reference = pick(self.tags(), which)
            repository, _, name = self.key(reference)
            self.both(lambda: self.engine.untag(reference), lambda: self.oracle.untag(repository, name))

    def delete(self, references: list[str]) -> None:
        """Delete some references in one batch."""
        self.both(lambda: self.engine.delete(*references), lambda: self.delete_from(self.oracle, references))

    def delete_from(self, registry: oracle.OracleRegistry, references: list[str]) -> None:
        """Delete references on the oracle or on a branch of it."""
        drops: list[tuple[str, str, str, str] | tuple[str, str, str]] = []
        for reference in references:
            repository, kind, name = self.key(reference)
            _, digest = self.resolve(reference)
            if kind == "tag":
                drops.append(("delete_tag", repository, name, digest))
            else:
                drops.append(("delete", repository, digest))
        registry.batch(drops)

    def delete_untagged(self, repository: str) -> None:
        """Delete every untagged manifest of a repository that neither a lock nor the kind protects."""
        linked = {digest for where, digest in self.oracle.readable() if where == repository}
        untagged = sorted(digest for digest in linked if not self.oracle.tags_of(repository, digest))
        if untagged:
            self.oracle.batch([("delete_allowed", repository, digest) for digest in untagged])
            self.engine.delete(f"{repository}@untagged")

    def delete_repository(self, repository: str) -> None:
        """Delete a repository."""
        if repository in self.oracle.repositories():
            self.both(
                lambda: self.engine.delete_repository(repository),
                lambda: self.oracle.delete_repository(repository),
            )

    def lock(self, which: int, *, write: bool, delete: bool) -> None:
        """Set the locks of a repository, a tag or a manifest."""
        there = [f"{repository}/" for repository in sorted(self.oracle.repositories())]
        there += self.tags() + self.links()
        if there:
            target = pick(there, which)
            self.engine.lock(target, write=write, delete=delete)
            self.oracle.lock(*self.thing(target), write=write, delete=delete)

    def thing(self, target: str) -> tuple[str, ...]:
        """Return a target of a lock as the oracle writes it."""
        if target.endswith("/"):
            return (target.removesuffix("/"),)
        repository, kind, name = self.key(target)
        return (repository, "tag", name) if kind == "tag" else (repository, name)

    def pull(self, which: int) -> None:
        """Pull something."""
        for reference in self.references([which]):
            repository, digest = self.resolve(reference)
            assert self.engine.pull(reference) == digest
            self.oracle.pull(repository, digest)

    def collect(self, policy: qs.GcPolicy | None = None) -> None:
        """Plan a collection, compare what it promises, apply it, compare what it did."""
        rules = self.oracle.rules.gc if policy is None else gc_rules_of(policy)
        aborts, where = oracle.Marking(self.oracle, rules).aborts()
        if aborts:
            with pytest.raises(CollectionAborted) as refused:
                self.engine.plan_gc(policy)
            assert refused.value.repository == where
            return
        plan, expected = self.engine.plan_gc(policy), self.oracle.plan_gc(rules)
        assert set(plan.removed) == expected.removed
        assert set(plan.unlinked) == expected.unlinked
        assert set(plan.swept) == expected.swept
        assert plan.reclaimable_bytes == expected.reclaimable_bytes
        charged, stored = self.oracle.charged_bytes(), self.oracle.stored_bytes()
        self.oracle.apply(expected)
        result = self.engine.apply(plan)
        assert result.freed_charged_bytes == charged - self.oracle.charged_bytes()
        assert result.freed_stored_bytes == stored - self.oracle.stored_bytes()

    def advance(self, microseconds: int) -> None:
        """Let time pass."""
        self.oracle.advance(microseconds)
        self.engine.advance(timedelta(microseconds=microseconds))

    # Collections that go on while other things happen

    def known(self) -> set[str]:
        """Return the repositories that any operation has named."""
        return set(self.engine.events()["repository"].dropna()) - {""}

    def begin_collection(self, policy: qs.GcPolicy | None) -> None:
        """Begin to mark; at most three collections are under way at a time."""
        if len(self.runs) < 3:
            rules = self.oracle.rules.gc if policy is None else gc_rules_of(policy)
            self.runs.append((self.engine.start_marking(policy), self.oracle.start_run(rules, self.known)))

    def go_on_collecting(self, which: int, count: int) -> None:
        """Let one collection walk some repositories, or begin to sweep; or delete some things."""
        if not self.runs:
            return
        place = which % len(self.runs)
        collection, of_oracle = self.runs[place]
        try:
            if isinstance(collection, qs.GcRun):
                charged, stored = self.oracle.charged_bytes(), self.oracle.stored_bytes()
                of_oracle.step(count)
                result = collection.step(count)
                assert result.freed_charged_bytes == charged - self.oracle.charged_bytes()
                assert result.freed_stored_bytes == stored - self.oracle.stored_bytes()
                if collection.done == collection.total:
                    self.runs.pop(place)
                    with pytest.raises(qs.RunEnded):
                        collection.step()
            elif which % 2 and collection.waiting():
                of_oracle.walk(collection.waiting()[:count])
                collection.walk(count)
            else:
                expected, run = of_oracle.sweep(), collection.sweep()
                found = (set(run.plan.removed), set(run.plan.unlinked), set(run.plan.swept))
                assert found == (expected.removed, expected.unlinked, expected.swept)
                self.runs[place] = (run, of_oracle)
        except oracle.CollectionAborted as failed:
            where = failed.args[0]
            with pytest.raises(CollectionAborted) as refused:
                collection.walk(count) if which % 2 and collection.waiting() else collection.sweep()
            assert refused.value.repository == where
            del self.runs[place]

    def stop_collecting(self, which: int) -> None:
        """Abort a collection."""
        if self.runs:
            collection, _ = self.runs.pop(which % len(self.runs))
            collection.abort()
            with pytest.raises(qs.RunEnded):
                collection.abort()

    # Promises, kept on branches

    def preview(self, references: list[str]) -> None:
        """Compare what a preview promises with what deletion and collection then free, and when."""
        branch = self.oracle.branch()
        refused = None
        try:
            self.delete_from(branch, references)
        except (oracle.Locked, oracle.Refused) as error:  # refused whole: what happens then happens without it
            refused = error
        at_once = set(branch.links)
        promise = self.engine.preview(delete=references)
        warned = {hazard.kind for hazard in promise.hazards if hazard.severity == "blocking"}
        assert ("locked" in warned) or not isinstance(refused, oracle.Locked)
        assert any(kind.startswith("refused-") for kind in warned) or not isinstance(refused, oracle.Refused)
        assert refused is not None or not any(kind == "locked" or kind.startswith("refused-") for kind in warned)
        rest = self.oracle.branch()
        oracle.run_out(rest)
        totals = oracle.changes(oracle.run_out(branch), self.oracle)
        assert promise.freed_charged_bytes == self.oracle.charged_bytes() - branch.charged_bytes()
        assert promise.freed_stored_bytes == self.oracle.stored_bytes() - branch.stored_bytes()
        assert promise.already_reclaimable_bytes == self.oracle.stored_bytes() - rest.stored_bytes()
        found = {row.at: (row.charged_bytes, row.reported_bytes, row.stored_bytes) for row in promise.timeline}
        assert oracle.changes(found, self.oracle) == totals
        # What goes with or without the deletion is not its doing.
        kept = set(branch.links) | (at_once - set(rest.links))
        gone = set(self.oracle.links) - kept
        assert set(promise.deleted) == {f"{repository}@{digest}" for repository, digest in gone}
        parts = oracle.stays(self.oracle, branch, gone)
        assert {name: getattr(promise, name) for name in parts} == parts
        stay = sum(parts[name] for name in ("repeated_bytes", "uncharged_bytes", "shared_bytes", "kept_bytes"))
        freed = parts["logical_bytes"] - stay + parts["other_freed_bytes"]
        assert promise.freed_charged_bytes == freed

    def exclusive(self, references: list[str]) -> None:
        """Compare the exclusive bytes of a set of references."""
        keys = [self.key(reference) for reference in references]
        assert self.engine.exclusive_bytes(references) == oracle.exclusive_bytes(self.oracle, keys)

    # Comparison

    def compare(self) -> None:
        """Compare every figure that both know, and let the engine check itself."""
        engine, known = self.engine, self.oracle
        assert engine.now == known.now
        usage = engine.usage()
        assert {name: getattr(usage, name) for name in FIGURES} == {name: getattr(known, name)() for name in FIGURES}
        assert engine.engine.figures()["bindings"] == len(known.tags)
        assert nonzero(engine.charged_by_scope()) == nonzero(known.charged_by_scope())
        for scope in qs.Scope:
            for basis in BASES:
                found = engine.basis_bytes(scope, qs.Basis[basis])
                assert nonzero(found) == nonzero(known.basis_bytes(scope.name, basis)), (scope, basis)
        stored = engine.basis_bytes(qs.Scope.REGISTRY, qs.Basis.STORED)
        assert nonzero(stored) == nonzero(known.basis_bytes("REGISTRY", "STORED"))
        for by in GROUPS:
            self.compare_rows(by)
        self.compare_charge(GROUPS[engine.version % len(GROUPS)])  # one at a time: programs have many steps
        engine.check()
        assert engine.recompute() == engine.engine.figures()

    def compare_log(self) -> None:
        """Compare the sums of the log's deltas with the oracle, at every time at which anything happened."""
        events = self.engine.events()
        assert events["unique_bytes"].sum() == self.oracle.unique_bytes()
        assert events["stored_bytes"].sum() == self.oracle.stored_bytes()
        assert events["upload_bytes"].sum() == self.oracle.upload_bytes()
        counted = events["charged_bytes"].sum() + events["drift_bytes"].sum()
        assert counted == self.oracle.counted_total()
        at = events["time"].dt.as_unit("us").astype("int64")
        charged = events["charged_bytes"].groupby(at).sum().cumsum()
        assert {at: self.oracle.charge_at(at) for at in charged.index} == charged.to_dict()

    def compare_charge(self, by: str) -> None:
        """Compare who has which part of the charge, and add it up."""
        rows = self.engine.chargeback(by)
        found = [(row.name, row.logical_bytes, row.exclusive_bytes, row.attributed_bytes) for row in rows]
        bill = self.engine.bill()
        if bill and not self.oracle.charged_bytes():
            assert found.pop() == (oracle.NOBODY, 0, 0, 0)  # is there to bear the fee
        assert found == oracle.charge_rows(self.oracle, by), by
        assert sum(row.attributed_bytes for row in rows) == self.engine.usage().charged_bytes
        assert {row.cost for row in rows} <= {None} if bill is None else sum(row.cost for row in rows) == bill

    def compare_rows(self, by: str) -> None:
        """Compare the rows of ``df``."""
        found = [
            oracle.Row(
                row.name,
                row.logical_bytes,
                row.unique_bytes,
                row.exclusive_bytes,
                row.shared_bytes,
                row.attributed_bytes,
            )
            for row in self.engine.df(by)
        ]
        assert found == oracle.rows(self.oracle, by), by
