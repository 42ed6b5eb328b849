"""What deleting some references means under a kind: which manifests and tags go, what the kind refuses, and hazards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quotasim import lookup
from quotasim.accounting import selection
from quotasim.accounting.quota import Refusal
from quotasim.accounting.selection import Hazard
from quotasim.engine import Engine, Outcome, operations
from quotasim.errors import (
    ImmutableTagRefused,
    IndexChildRefused,
    Locked,
    ReferrersRefused,
    Refused,
    TagDeletionRefused,
    TaggedManifestRefused,
)
from quotasim.kernels import NULL, layout
from quotasim.model.oci import parse_reference
from quotasim.retention.order import deletion_order

if TYPE_CHECKING:
    from quotasim.retention.evaluate import Selection

Rows = npt.NDArray[np.int32]

_HAZARD_KINDS: dict[type[Refused], str] = {
    TagDeletionRefused: "refused-by-tag",
    IndexChildRefused: "refused-child",
    ReferrersRefused: "refused-referrers",
    TaggedManifestRefused: "refused-tags",
    ImmutableTagRefused: "refused-immutable",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a client: an untag or a deletion.

    Attributes
    ----------
    code : OP_UNTAG or OP_DELETE.
    link : the manifest's link; of an untag what the tag points to.
    tag : NULL where a manifest is deleted whatever its tags.
    reference : as it was named.
    named : False where it stands for ``repo@untagged``: what is refused then is passed over.
    """

    code: int
    link: int
    tag: int
    reference: str
    named: bool


def steps_of(engine: Engine, references: Sequence[str]) -> list[Step]:
    """Return what deleting the references asks of the kind, in the order given; what is asked twice is done once.

    Raises
    ------
    UnknownReference, UnknownRepository
    """
    rule = engine.profile.delete_by_tag
    steps: list[Step] = []
    for reference in references:
        ref = parse_reference(reference)
        if ref.untagged:
            repository = lookup.repository_row(engine, ref.repository)
            for link in lookup.untagged_in(engine, repository):
                steps.append(Step(layout.OP_DELETE, link, NULL, reference, named=False))
            continue
        _, link = lookup.find(engine, reference)
        code, tag = layout.OP_DELETE, NULL
        if ref.tag is not None and rule in ("tag", "expire", "last tag"):
            tag = engine.names.find_tag(int(engine.names.links.first[link]), ref.tag)
            code = layout.OP_DELETE if rule == "last tag" else layout.OP_UNTAG
        steps.append(Step(code, link, tag, str(reference), named=True))
    return steps


def objections(engine: Engine, steps: Sequence[Step]) -> tuple[list[tuple[Step, Locked | Refused]], list[int]]:
    """Return which of the steps, taken one after another, a lock or the kind would refuse, and with what.

    What is refused is left out for the steps after it. The second part is the links that the steps mean to delete, not
    only to untag, refused or not. O(descriptors of what goes and of the indexes over it).
    """
    found: list[tuple[Step, Locked | Refused]] = []
    whole: dict[int, None] = {}
    going = _Going(engine)
    for step in steps:
        if not going.has_taken(step) and not going.takes_tag_only(step):
            whole[step.link] = None
        problem = going.objection(step)
        if problem is None:
            going.take(step)
        else:
            found.append((step, problem))
    return found, list(whole)


class _Going:
    """What the steps so far have taken away."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.links: set[int] = set()
        self.tags: set[int] = set()

    def tags_of(self, link: int) -> list[int]:
        """Return the tags that a link still has."""
        engine = self.engine
        return [tag for tag in selection.tags_of(engine.names, engine.state, link) if tag not in self.tags]

    def parents_of(self, link: int) -> list[int]:
        """Return the indexes that still list a link."""
        engine = self.engine
        found = selection.parents_of(engine.content, engine.names, engine.state, {link}).get(link, [])
        return [parent for parent in found if parent not in self.links]

    def referrers_of(self, link: int) -> list[int]:
        """Return the manifests that still have a link's as their subject."""
        engine = self.engine
        found = selection.referrers_of(engine.content, engine.names, engine.state, link)
        return [referrer for referrer in found if referrer not in self.links]

    def is_locked(self, link: int, tags: Iterable[int]) -> bool:
        """Return whether a lock or an immutable tag keeps a link with some tags from deletion; NULL: only the tags."""
        state, names, tags = self.engine.state, self.engine.names, list(tags)
        locks = 0
        for tag in tags:
            locks |= int(state.read("tag_lock")[tag])
            locks |= int(state.read("repository_lock")[names.tag_repository[tag]])
        if link != NULL:
            locks |= int(state.read("link_lock")[link]) | int(state.read("repository_lock")[names.links.first[link]])
        return bool(locks & layout.LOCK_DELETE)

    def has_taken(self, step: Step) -> bool:
        """Return whether an earlier step has taken along what a step means, or has hidden it with its last tag."""
        link = step.link
        if link in self.links or step.tag in self.tags:
            return True
        if self.engine.profile.delete_by_tag != "expire" or self.tags_of(link) or self.parents_of(link):
            return False
        return bool(selection.tags_of(self.engine.names, self.engine.state, link))

    def takes_tag_only(self, step: Step) -> bool:
        """Return whether a step leaves the manifest where it is."""
        return step.code == layout.OP_UNTAG or (step.tag != NULL and len(self.tags_of(step.link)) > 1)

    def objection(self, step: Step) -> Locked | Refused | None:
        """Return what a step is refused with, or None."""
        profile, link = self.engine.profile, step.link
        if self.engine.read_only_runs:
            return Locked(step.reference, "collection")
        if self.has_taken(step):
            return None
        if self.takes_tag_only(step):
            if self.is_locked(NULL, [step.tag]):
                return Locked(step.reference, "delete")
            if profile.immutable_tags == "keep":
                return self._refused(ImmutableTagRefused, profile.immutable_refusal, step, [step.tag])
            return None
        tags = self.tags_of(link)
        ref = parse_reference(step.reference)
        if ref.tag is not None and profile.delete_by_tag == "refuse":
            return self._refused(TagDeletionRefused, profile.tag_refusal, step, tags)
        if self.is_locked(link, tags):
            return Locked(step.reference, "delete")
        parents = self.parents_of(link) if profile.child_refusal is not None else []
        if parents:
            return self._refused(IndexChildRefused, profile.child_refusal, step, tags, parents)
        referrers = self.referrers_of(link) if profile.referrer_refusal is not None else []
        if referrers:
            return self._refused(ReferrersRefused, profile.referrer_refusal, step, tags, referrers=referrers)
        if profile.immutable_tags == "keep" and tags:
            return self._refused(ImmutableTagRefused, profile.immutable_refusal, step, tags)
        if profile.most_tags_on_delete is not None and len(tags) > profile.most_tags_on_delete:
            return self._refused(TaggedManifestRefused, profile.tags_refusal, step, tags)
        return None

    def take(self, step: Step) -> None:
        """Let a step happen that nothing refuses."""
        if self.has_taken(step):
            return
        if self.takes_tag_only(step):
            self.tags.add(step.tag)
            return
        if self.engine.profile.delete_by_tag == "expire":
            self.tags.update(self.tags_of(step.link))
            return
        pending = [step.link]
        while pending:
            link = pending.pop()
            self.links.add(link)
            self.tags.update(self.tags_of(link))
            pending.extend(other for other in self._along(link) if other not in self.links)

    def _along(self, link: int) -> list[int]:
        """Return the links that go at once because this one has gone."""
        engine, profile = self.engine, self.engine.profile
        found = []
        if profile.referrers == "cascade":
            found += selection.referrers_of(engine.content, engine.names, engine.state, link)
        if profile.children_go:
            children = selection.children_of(engine.content, engine.names, engine.state, link)
            found += [child for child in children if not self.tags_of(child) and not self.parents_of(child)]
        keeps = profile.immutable_tags == "keep"
        hidden = engine.state.read("deleted")
        return [
            other
            for other in found
            if not hidden[other]
            and not self.is_locked(other, self.tags_of(other))
            and not (keeps and self.tags_of(other))
        ]

    def _refused(
        self,
        error: type[Refused],
        words: Refusal | None,
        step: Step,
        tags: Sequence[int],
        parents: Sequence[int] = (),
        referrers: Sequence[int] = (),
    ) -> Refused:
        engine, link = self.engine, step.link
        assert words is not None  # a profile with the rule has the words
        ref = parse_reference(step.reference)
        seen = words.filled(
            reference=step.reference,
            repository=engine.names.repositories.values[engine.names.links.first[link]],
            digest=lookup.digest_of(engine, link),
            tag=ref.tag,
            tags=", ".join(sorted(engine.names.tag_label(tag) for tag in tags)),
            parents=", ".join(sorted(lookup.digest_of(engine, parent) for parent in parents)),
            referrers=", ".join(sorted(lookup.digest_of(engine, referrer) for referrer in referrers)),
        )
        return error(step.reference, seen.status, seen.code, seen.message)


def checked_steps(engine: Engine, references: Sequence[str]) -> list[Step]:
    """Return the steps of a deletion that is carried out whole or not at all.

    Raises
    ------
    UnknownReference, UnknownRepository
    Locked, Refused : of the first reference that is refused. What ``repo@untagged`` stands for is passed over instead.
    """
    steps = steps_of(engine, references)
    if any(step.named for step in steps):  # there may be very many of the others
        for step, problem in objections(engine, steps)[0]:
            if step.named:
                raise problem
    return steps


def carry_out(engine: Engine, steps: Sequence[Step]) -> Outcome:
    """Apply the steps in one batch, now."""

    def column(name: str) -> Rows:
        return np.array([getattr(step, name) for step in steps], np.int32)

    return _apply(engine, column("code"), column("link"), column("tag"))


def retain(engine: Engine, selection: Selection) -> Outcome:
    """Remove in one batch, now, what a retention policy does not keep: tags, then manifests.

    What the kind refuses is an event; where deleting only ends tags, the manifests are left to its collector.
    """
    links = _deletable(engine, selection)
    tags = selection.tags
    code = np.concatenate((np.full(tags.size, layout.OP_UNTAG), np.full(links.size, layout.OP_DELETE)))
    link = np.concatenate((engine.state.read("tag_link")[tags], links))
    return _apply(engine, code, link, np.concatenate((tags, np.full(links.size, NULL, np.int32))))


def retention_steps(engine: Engine, selection: Selection) -> list[Step]:
    """Return what :func:`retain` does, step by step, to be looked at."""
    names, targets = engine.names, engine.state.read("tag_link")
    steps = []
    for tag in selection.tags.tolist():
        label = f"{names.repositories.values[names.tag_repository[tag]]}:{names.tag_label(tag)}"
        steps.append(Step(layout.OP_UNTAG, int(targets[tag]), tag, label, named=False))
    for link in _deletable(engine, selection).tolist():
        steps.append(Step(layout.OP_DELETE, link, NULL, lookup.link_label(engine, link), named=False))
    return steps


def _deletable(engine: Engine, selection: Selection) -> Rows:
    """Return the links of a selection that the kind lets a client delete, in an order that it allows."""
    profile = engine.profile
    if profile.delete_by_tag == "expire":
        return selection.links[:0]
    return deletion_order(
        engine.content,
        engine.names,
        selection.links,
        indexes_first=profile.child_refusal is not None,
        referrers_first=profile.referrer_refusal is not None,
    )


def _apply(engine: Engine, code: npt.NDArray[Any], link: Rows, tag: Rows) -> Outcome:
    """Apply untags and deletions in one batch, now, in the order given."""
    return engine.apply(
        operations(
            code,
            np.full(link.size, engine.state.now, np.int64),
            link=link,
            tag=tag,
            repository=engine.names.links.first[link],
        )
    )


def find_hazards(engine: Engine, steps: Sequence[Step], deployed: Iterable[str]) -> list[Hazard]:
    """Return what the steps would break or take along, and what of it the kind would refuse."""
    profile = engine.profile
    refused, links = objections(engine, steps)
    hazards = selection.find_hazards(
        engine.content,
        engine.names,
        engine.state,
        links,
        cascades=profile.referrers == "cascade",
        keeps_children=profile.child_refusal is not None,
        children_go=profile.children_go,
        expires=profile.delete_by_tag == "expire",
        deployed=deployed,
    )
    for step, problem in refused:
        if isinstance(problem, Refused):
            label = lookup.link_label(engine, step.link)
            message = f"the registry refuses it: {_words(problem)}"
            tags = tuple(sorted(_tag_names(engine, step)))
            hazards.append(Hazard(_HAZARD_KINDS[type(problem)], "blocking", label, tags, message))
        elif step.tag != NULL:
            label = lookup.link_label(engine, step.link)
            message = "the tag is locked against deletion"
            hazards.append(Hazard("locked", "blocking", label, (engine.names.tag_label(step.tag),), message))
    hazards.extend(_left_behind(engine, steps))
    if profile.delete_by_tag == "resolve" and profile.tag_refusal is not None:
        for step in steps:
            if step.code == layout.OP_DELETE and parse_reference(step.reference).tag is not None:
                words = str(profile.tag_refusal.filled(reference=step.reference))
                message = f"the registry's own interface refuses a tag ({words}): it is resolved and its digest deleted"
                label = lookup.link_label(engine, step.link)
                hazards.append(Hazard("resolved-tag", "informational", label, (step.reference,), message))
    return hazards


def _left_behind(engine: Engine, steps: Sequence[Step]) -> Iterator[Hazard]:
    """Yield a hazard for each manifest that would lose its last tag to the steps and then stay for ever."""
    profile = engine.profile
    collected = profile.gc.roots == "TAGS" if profile.collection == "manual" else profile.untagged_after is not None
    taken = {step.tag for step in steps if step.code == layout.OP_UNTAG}
    deleted = {step.link for step in steps if step.code == layout.OP_DELETE}
    for link in dict.fromkeys(step.link for step in steps if step.code == layout.OP_UNTAG):
        tags = selection.tags_of(engine.names, engine.state, link)
        if not collected and link not in deleted and taken.issuperset(tags):
            repository = engine.names.repositories.values[engine.names.links.first[link]]
            labels = tuple(sorted(f"{repository}:{engine.names.tag_label(tag)}" for tag in tags))
            message = "only the tag goes: its manifest stays, untagged, and holds its bytes until its digest is deleted"
            yield Hazard("manifest-left", "informational", lookup.link_label(engine, link), labels, message)


def _words(problem: Refused) -> str:
    return str(Refusal(problem.status, problem.code, problem.message))


def _tag_names(engine: Engine, step: Step) -> list[str]:
    """Return the tags that a step concerns, as references."""
    names = engine.names
    tags = selection.tags_of(names, engine.state, step.link) if step.tag == NULL else [step.tag]
    repository = names.repositories.values[names.links.first[step.link]]
    return [f"{repository}:{names.tag_label(tag)}" for tag in tags]
