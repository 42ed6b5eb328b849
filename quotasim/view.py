"""Questions to a registry: everything that can be asked of it without changing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from quotasim import deletion, explain, lookup
from quotasim.accounting import selection
from quotasim.accounting.basis import Basis, Scope, basis_bytes, scope_names
from quotasim.accounting.chargeback import ChargeRow, charge_rows, priced
from quotasim.accounting.price import check_days
from quotasim.accounting.selection import Hazard
from quotasim.accounting.sharing import BY, By, SharingRow, sharing_rows
from quotasim.checks import find_damage
from quotasim.engine import Engine
from quotasim.errors import InvalidValue, StateDamaged
from quotasim.gc.plan import GcPlan, plan, reclaimable_bytes
from quotasim.gc.policy import GcPolicy
from quotasim.kernels import NULL
from quotasim.model.oci import parse_reference
from quotasim.model.totals import exact_sum
from quotasim.profiles.base import RegistryProfile
from quotasim.results import Usage, Why
from quotasim.retention.evaluate import Evaluator, Selection
from quotasim.retention.rules import RetentionPolicy

if TYPE_CHECKING:
    import os

    import pandas as pd


class RegistryView:
    """What can be asked of a registry. :class:`quotasim.Registry` adds what changes it.

    Attributes
    ----------
    name : a label of its own, such as a branch's.
    """

    _engine: Engine
    name: str

    def __repr__(self) -> str:
        return f"<Registry {self.profile.name} at {self._engine.state.now}, {self._engine.figures()['links']} links>"

    @property
    def engine(self) -> Engine:
        """The engine behind it, for importers, benchmarks and snapshots."""
        return self._engine

    @property
    def profile(self) -> RegistryProfile:
        """Its rules."""
        return self._engine.profile

    @property
    def now(self) -> int:
        """Its time, microseconds since the epoch, UTC."""
        return self._engine.state.now

    @property
    def version(self) -> int:
        """Number that every change raises; a plan is valid for one version."""
        return self._engine.state.version

    # --- figures ----------------------------------------------------------------------------------------------
    def usage(self) -> Usage:
        """Return the registry's figures now. O(references) for ``reclaimable_bytes``, the rest O(1)."""
        engine, profile = self._engine, self.profile
        engine.sync()
        figures = engine.figures()
        manifests, repeated = engine.content.repeated_bytes()
        counted = figures["charged_bytes"] + figures["drift_bytes"]
        listed = figures["logical_bytes"] + exact_sum(repeated[engine.state.read("link_count")[manifests] > 0])
        return Usage(
            as_of=self.now,
            profile=profile.name,
            logical_bytes=figures["logical_bytes"],
            listed_bytes=listed,
            unique_bytes=figures["unique_bytes"],
            foreign_bytes=figures["foreign_bytes"],
            charged_bytes=figures["charged_bytes"],
            counted_bytes=counted if profile.counter == "own" else None,
            reported_bytes=engine.reported_bytes(),
            upload_bytes=figures["upload_bytes"],
            replicated_bytes=figures["charged_bytes"] * engine.replicas if profile.replicas == "billed" else None,
            stored_bytes=figures["stored_bytes"],
            reclaimable_bytes=reclaimable_bytes(engine.inventory(), profile.gc, self.now),
            limit_bytes=profile.displayed_limit,
            unknown_size_count=figures["unknown_size_count"],
        )

    def show_usage(self) -> dict[str, list[dict[str, Any]]]:
        """Return usage in the shape of ``az acr show-usage``; ``limit`` -1 is none, as that interface has it. Size is
        the home region's; where copies are paid for, their number is in it too.
        """
        usage = self.usage()
        limit = -1 if usage.limit_bytes is None else usage.limit_bytes
        value = [{"name": "Size", "limit": limit, "currentValue": usage.reported_bytes, "unit": "Bytes"}]
        if self.profile.replicas == "billed":
            others = self._engine.replicas - 1
            value.append({"name": "Geo-replications", "limit": -1, "currentValue": others, "unit": "Count"})
        return {"value": value}

    def charged_by_scope(self) -> dict[str, int]:
        """Return the charged bytes of every scope of the profile; ``""`` is the registry."""
        engine = self._engine
        engine.sync()
        return dict(zip(scope_names(engine.names, self.profile.scope), engine.ledger.used(), strict=True))

    def basis_bytes(self, scope: Scope, basis: Basis) -> dict[str, int]:
        """Return bytes by any scope and basis, recounted from scratch, foreign layers left out. O(references)."""
        engine = self._engine
        engine.sync()
        figures = basis_bytes(engine.content, engine.names, engine.state, scope, basis)
        return dict(zip(scope_names(engine.names, scope), figures, strict=True))

    def df(self, by: By = "registry") -> list[SharingRow]:
        """Return where the bytes are: rows by registry, namespace, repository or image, in name order.
        O(references).
        """
        if by not in BY:
            raise InvalidValue("by", by, ", ".join(BY))
        engine = self._engine
        engine.sync()
        return sharing_rows(engine.content, engine.names, engine.state, by)

    def chargeback(self, by: By = "namespace", *, days: int = 30) -> list[ChargeRow]:
        """Return who has which part of the charge: rows by registry, namespace, repository or image, in name order.

        The charged bytes of the profile are split between the rows that hold them; what nobody holds is the last row,
        ``"(unattributed)"``. ``attributed_bytes`` add up to the charge, and where the kind has a price the ``cost`` of
        the rows to :meth:`bill`.

        Parameters
        ----------
        days : for how many days of the charge as it is now the cost is.

        Raises
        ------
        InvalidValue : another ``by``, or no whole number of days.

        Notes
        -----
        O(blobs + references + links log links).

        Examples
        --------
        >>> from quotasim import Blob, Image, Registry
        >>> registry = Registry("gitlab")
        >>> for name in ("team/app:1", "team/web:1"):
        ...     pushed = registry.push(name, Image([Blob.synthetic("base", 101), Blob.synthetic(name, 10)]))
        >>> [(row.name, row.attributed_bytes) for row in registry.chargeback("repository")]
        [('team/app', 61), ('team/web', 60)]
        """
        if by not in BY:
            raise InvalidValue("by", by, ", ".join(BY))
        engine, profile = self._engine, self.profile
        engine.sync()
        bill = self.bill(days=days)
        rows = charge_rows(
            engine.content,
            engine.names,
            engine.state,
            by,
            profile.scope,
            profile.basis,
            role_mask=profile.role_mask,
            counts_foreign=profile.counts_foreign,
        )
        return rows if bill is None or profile.price is None else priced(rows, bill, profile.price.currency)

    def bill(self, *, days: int = 30) -> Decimal | None:
        """Return what the charge as it is now costs for some days, in the currency of the profile's price; None where
        the kind has no price.

        Where copies are billed (``replicas``), each costs as much as the first. O(1).

        Raises
        ------
        InvalidValue : no whole number of days of at least 1.
        """
        engine, profile = self._engine, self.profile
        check_days(days)
        if profile.price is None:
            return None
        engine.sync()
        copies = engine.replicas if profile.replicas == "billed" else 1
        return profile.price.bill(engine.figures()["charged_bytes"], days, copies)

    def why(self, reference: str) -> Why:
        """Return every blob of an image and who else holds it.

        Raises
        ------
        UnknownReference

        Notes
        -----
        O(links + references once a version, then the image's blobs and their holders).
        """
        ref, link = lookup.find(self._engine, reference)
        return explain.why(self._engine, str(ref), link, self.exclusive_bytes([reference]))

    def exclusive_bytes(self, references: Sequence[str]) -> int:
        """Return the bytes that would leave the registry if exactly these references went. State is not changed.

        Blobs that anything else holds are not counted, so the result for a set is at least the sum of the results
        for its
        members. O(descriptors of what goes).

        Raises
        ------
        UnknownReference : one names nothing here; carries the nearest names.
        """
        if isinstance(references, str):
            raise InvalidValue("references", references, "a list of references")
        links: list[int] = []
        tags: list[int] = []
        engine = self._engine
        for reference in references:
            ref = parse_reference(reference)
            if ref.untagged:
                links.extend(lookup.untagged_in(self._engine, lookup.repository_row(self._engine, ref.repository)))
                continue
            _, link = lookup.find(self._engine, reference)
            if ref.tag is None:
                links.append(link)
            else:
                tags.append(engine.names.find_tag(int(engine.names.links.first[link]), ref.tag))
        gone = selection.going_along(engine.content, engine.names, engine.state, links, tags)
        return selection.exclusive_bytes_of(engine.content, engine.names, engine.state, gone)

    def hazards(
        self,
        *,
        delete: Sequence[str] | None = None,
        policy: RetentionPolicy | None = None,
        deployed: Iterable[str] = (),
    ) -> list[Hazard]:
        """Return what deleting these references, or applying a retention policy, would break or take along.

        Parameters
        ----------
        deployed : digests known to run somewhere.

        Raises
        ------
        UnknownReference
        InvalidValue : both are given, or neither.
        """
        if (delete is None) == (policy is None):
            raise InvalidValue("delete", delete, "either references to delete or a policy")
        engine = self._engine
        if policy is None:
            return deletion.find_hazards(engine, deletion.steps_of(engine, delete or ()), deployed)
        return deletion.find_hazards(engine, deletion.retention_steps(engine, self.select(policy)), deployed)

    def select(self, policy: RetentionPolicy) -> Selection:
        """Return what a retention policy keeps and removes now; nothing is changed.

        :func:`quotasim.frames.selection` has it as a table, with a reason for every row. O(tags log tags + links).

        Raises
        ------
        InvalidValue : it is no policy.
        """
        engine = self._engine
        engine.sync()
        evaluator = Evaluator(policy, tags_must_stay=self.profile.immutable_tags == "keep")
        return evaluator.select(engine.content, engine.names, engine.state, engine.log)

    def plan_gc(self, policy: GcPolicy | str | None = None) -> GcPlan:
        """Return what a garbage collection would remove now; nothing is changed.

        Parameters
        ----------
        policy : by default the profile's own; or the name of another of its policies.

        Raises
        ------
        CollectionAborted : a run of this policy would fail here.
        InvalidValue : the profile has no policy of this name.

        Examples
        --------
        >>> from quotasim import Blob, Image, Registry
        >>> registry = Registry("distribution-2.8")
        >>> image = Image([Blob.synthetic("base", 100)], Blob.synthetic("config", 20))
        >>> pushed = registry.push(f"app@{image.digest}", image)
        >>> registry.plan_gc().swept
        ()
        >>> registry.plan_gc("delete-untagged")
        Traceback (most recent call last):
        quotasim.errors.CollectionAborted: ...
        """
        engine = self._engine
        engine.sync()
        return plan(engine.inventory(), self.gc_policy(policy), self.now)

    def gc_policy(self, policy: GcPolicy | str | None = None) -> GcPolicy:
        """Return a policy by its name in the profile, or the kind's own; one that is given as it is.

        Raises
        ------
        InvalidValue : the profile has none of this name.
        """
        return self.profile.gc_policy(policy) if isinstance(policy, str) else policy or self.profile.gc

    # --- checks, frames, files --------------------------------------------------------------------------------
    def recompute(self) -> dict[str, int]:
        """Return the figures counted from scratch. Must equal ``engine.figures()`` at all times. O(references)."""
        return self._engine.recompute()

    def check(self) -> None:
        """Verify every structural rule of the state.

        Raises
        ------
        StateDamaged : names each rule that is broken and where.

        Notes
        -----
        O(references + links log links).
        """
        problems = find_damage(self._engine)
        if problems:
            raise StateDamaged(problems)

    def events(self) -> pd.DataFrame:
        """Return the log as a frame: one row an event, signed deltas, names and digests."""
        from quotasim import frames

        return frames.events(self._engine)

    def cause_chain(self, seq: int) -> list[int]:
        """Return an event and what made it happen, each by its number, back to what somebody asked for.

        Raises
        ------
        InvalidValue : there is no such event.
        """
        causes = self._engine.log.column("cause")
        if not 0 <= seq < causes.size:
            raise InvalidValue("seq", seq, f"the number of one of {causes.size:,} events")
        chain = [seq]
        while causes[chain[-1]] != NULL:
            chain.append(int(causes[chain[-1]]))
        return chain

    def images(self) -> pd.DataFrame:
        """Return one row an image, sorted by name."""
        from quotasim import frames

        return frames.images(self._engine)

    def blobs(self) -> pd.DataFrame:
        """Return one row a blob that is stored or held, sorted by digest."""
        from quotasim import frames

        return frames.blobs(self._engine)

    def repositories(self) -> pd.DataFrame:
        """Return one row a repository, sorted by name."""
        from quotasim import frames

        return frames.repositories(self._engine)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a snapshot directory, whole or not at all."""
        from quotasim import snapshot

        snapshot.save(self._engine, path, overwrite=overwrite)
