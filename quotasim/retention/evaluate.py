"""What a retention policy keeps and removes now: over columns, since a simulation asks every day."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.sharing import reached
from quotasim.errors import InvalidValue
from quotasim.kernels import NULL
from quotasim.kernels.layout import LOCK_DELETE
from quotasim.model.content import Content
from quotasim.model.log import EventLog
from quotasim.model.names import Names
from quotasim.model.state import State
from quotasim.retention.rules import KeepRule, RetentionPolicy
from quotasim.units import parse_duration

Array = npt.NDArray[Any]

NO_RULE, LOCKED = -1, -2
"""In ``Selection.rule``: no rule keeps the tag; a lock does."""


class Fate(IntEnum):
    """What becomes of a manifest that has no tag, or keeps none, and why."""

    BELONGS = 0
    """It stays: something that stays lists it or is its subject."""
    LEFT = 1
    """It stays: the policy does not ask for it."""
    WAITS = 2
    """It stays: it has not been without a tag for long enough."""
    LOCKED = 3
    """It stays: a lock protects it."""
    LAST_TAG = 4
    """It goes with its last tag."""
    ALONG = 5
    """It goes with what lists it, or is its subject."""
    UNTAGGED = 6
    """It goes: it has been without a tag for long enough."""


FIRST_THAT_GOES = Fate.LAST_TAG


@dataclass(frozen=True, slots=True)
class Selection:
    """What a policy keeps and removes at one time, a row a tag and a row a manifest without one.

    Attributes
    ----------
    policy : what decided.
    now : microseconds since the epoch, UTC.
    repository, tag_name : int32[n], name rows of each tag; a tag with several platforms (of replayed histories) is one.
        Sorted by repository, in each the tag first that was set last.
    link : int32[n], what it points to; of several platforms one.
    time : int64[n] microseconds, when it was set.
    rule : int8[n], the place in ``policy.keep`` of the first rule that keeps it, else NO_RULE or LOCKED.
    rank : int64[R, n], by rule the place among those that it looks at in the repository, 0 where it does not.
    tags : int32[k], the tag rows that go, every platform's.
    manifest : int32[m], links of manifests that are without a tag afterwards, sorted.
    fate : uint8[m] of `Fate`.
    since : int64[m] microseconds, since when it has been without a tag, or was pushed last; ``now`` where its last tag
        goes.
    links : int32[j], the links that go, sorted.
    """

    policy: RetentionPolicy
    now: int
    repository: Array
    tag_name: Array
    link: Array
    time: Array
    rule: Array
    rank: Array
    tags: Array
    manifest: Array
    fate: Array
    since: Array
    links: Array

    @property
    def kept(self) -> Array:
        """Which tags stay, bool[n]."""
        return np.asarray(self.rule != NO_RULE)


class Evaluator:
    """Applies one policy again and again; what depends on names alone is looked at once.

    Parameters
    ----------
    policy : what to keep.
    tags_must_stay : whether the kind lets no tag go.
    """

    def __init__(self, policy: RetentionPolicy, *, tags_must_stay: bool = False) -> None:
        if not isinstance(policy, RetentionPolicy):
            raise InvalidValue("policy", policy, "a RetentionPolicy")
        self.policy = policy
        self._tags_must_stay = tags_must_stay
        self._name_order = np.empty(0, np.int64)
        self._matches: dict[tuple[str, bool], Array] = {}

    def select(self, content: Content, names: Names, state: State, log: EventLog) -> Selection:
        """Return what the policy keeps and removes now; nothing is changed.

        O(tags log tags + links + descriptors of indexes).
        """
        now = state.now
        target = state.read("tag_link")
        bound = np.flatnonzero(target != NULL)
        # Platforms of one tag are one row, set when the last of them was.
        order = np.argsort(names.tags.first[bound], kind="stable")
        bound = bound[order]
        key = names.tags.first[bound]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        row_of = np.repeat(np.arange(starts.size), np.diff(starts, append=key.size))
        time = log.times_of(state.read("tag_event")[bound], absent=now)
        time = np.maximum.reduceat(time, starts) if starts.size else time
        repository = names.tag_keys.first[key[starts]]
        tag_name = names.tag_keys.second[key[starts]]
        newest_first = np.lexsort((self._order_of_names(names)[tag_name], -time, repository))
        locked = self._locked(state, repository, row_of, bound, starts.size)

        rule = np.full(starts.size, NO_RULE, np.int8)
        rank = np.zeros((len(self.policy.keep), starts.size), np.int64)
        for place, keep in enumerate(self.policy.keep):
            looked = self._looked_at(keep, names, repository, tag_name)
            rank[place] = _ranks(repository, newest_first, looked)
            kept = np.zeros(starts.size, bool)
            kept[looked] = keep.keeps(rank[place][looked], now - time[looked])
            rule[kept & (rule == NO_RULE)] = place
        rule[locked & (rule == NO_RULE)] = LOCKED
        going = rule[row_of] == NO_RULE
        manifest, fate, since, links = self._manifests(content, names, state, log, bound[going], bound[~going])
        return Selection(
            policy=self.policy,
            now=now,
            repository=repository[newest_first],
            tag_name=tag_name[newest_first],
            link=target[bound[starts]][newest_first],
            time=time[newest_first],
            rule=rule[newest_first],
            rank=rank[:, newest_first],
            tags=bound[going].astype(np.int32),
            manifest=manifest,
            fate=fate,
            since=since,
            links=links,
        )

    def _order_of_names(self, names: Names) -> Array:
        """Return the place of every tag name among all in order, int64."""
        values = names.tag_names.values
        if self._name_order.size != len(values):
            self._name_order = np.empty(len(values), np.int64)
            self._name_order[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))
        return self._name_order

    def _looked_at(self, rule: KeepRule, names: Names, repository: Array, tag_name: Array) -> Array:
        """Return which tags a rule looks at, bool[n]."""
        looked = np.ones(repository.size, bool)
        for pattern, values, rows in (
            (rule.repositories, names.repositories.values, repository),
            (rule.tags, names.tag_names.values, tag_name),
        ):
            if pattern == "*":
                continue
            at = (pattern, rows is tag_name)
            known = self._matches.get(at, np.empty(0, bool))
            new = [fnmatchcase(value, pattern) for value in values[known.size :]]
            self._matches[at] = np.concatenate((known, np.array(new, bool)))
            looked &= self._matches[at][rows]
        return looked

    def _locked(self, state: State, repository: Array, row_of: Array, bound: Array, count: int) -> Array:
        """Return which tags cannot be removed, or are on what cannot be deleted, bool[count]."""
        locked = np.full(count, self._tags_must_stay)
        locks = state.read("tag_lock")[bound] | state.read("link_lock")[state.read("tag_link")[bound]]
        locked[row_of[(locks & LOCK_DELETE) != 0]] = True
        locked |= (state.read("repository_lock")[repository] & LOCK_DELETE) != 0
        return locked

    def _manifests(
        self, content: Content, names: Names, state: State, log: EventLog, going: Array, staying: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Return (links, fates, since when, links that go in order) of what is without a tag afterwards."""
        policy, target, linked = self.policy, state.read("tag_link"), state.read("linked")
        tagged = np.zeros(linked.shape[0], bool)
        tagged[target[staying]] = True
        bare = np.flatnonzero((linked != 0) & ~tagged & (state.read("deleted") == 0))
        had = state.read("tag_count")[bare] > 0
        # Since it lost its last tag or was pushed again, whichever was later: events are numbered in their order.
        events = np.maximum(state.read("untagged_event")[bare], state.read("link_event")[bare])
        since = np.where(had, state.now, log.times_of(events, absent=state.now))
        fate = np.full(bare.size, Fate.LEFT, np.uint8)
        if policy.manifests == "delete":
            fate[had] = Fate.LAST_TAG
            along = reached(content, names, state, bare[had])[bare] & ~had
            fate[along] = Fate.ALONG
            if policy.untagged_after is not None:
                rest = ~had & ~along
                is_old = state.now - since >= parse_duration(policy.untagged_after)
                fate[rest] = np.where(is_old[rest], Fate.UNTAGGED, Fate.WAITS)
        locks = state.read("link_lock")[bare] | state.read("repository_lock")[names.links.first[bare]]
        fate[(fate >= FIRST_THAT_GOES) & ((locks & LOCK_DELETE) != 0)] = Fate.LOCKED
        held = reached(content, names, state, np.flatnonzero(tagged))[bare]
        stays = fate < FIRST_THAT_GOES
        if not stays.all():  # what stays, tagged or not, keeps its parts
            held |= reached(content, names, state, bare[stays])[bare] & ~stays
        fate[held] = Fate.BELONGS
        bare = bare.astype(np.int32)
        return bare, fate, since, bare[fate >= FIRST_THAT_GOES]


def _ranks(repository: Array, newest_first: Array, looked: Array) -> Array:
    """Return the place of each tag in its repository among those looked at, from 1 on; 0 of the others."""
    order = newest_first[looked[newest_first]]
    of = repository[order]
    first = np.flatnonzero(np.diff(of, prepend=-1))
    rank = np.zeros(repository.size, np.int64)
    rank[order] = np.arange(order.size) - np.repeat(first, np.diff(first, append=order.size)) + 1
    return rank
