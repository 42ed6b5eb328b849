"""`Registry.check()` names what is broken: each rule is broken by hand here, one at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import quotasim as qs
from quotasim.engine import Engine
from quotasim.kernels import layout

from .programs import every_kind
from .strategies import PROFILES, START


@pytest.fixture
def registry() -> qs.Registry:
    """A sound registry with something of everything."""
    made = qs.Registry(PROFILES["tagged-namespace"], start=START, limit="1 GB")
    every_kind(made)
    made.check()
    return made


def _first(engine: Engine, column: str) -> int:
    """Return the first row in which a column is set."""
    return int(np.flatnonzero(engine.state.read(column) > 0)[0])


def holders(engine: Engine) -> None:
    engine.state.write("holders")[_first(engine, "holders")] += 1


def negative_holders(engine: Engine) -> None:
    engine.state.write("holders")[_first(engine, "holders")] = -1


def link_count(engine: Engine) -> None:
    engine.state.write("link_count")[_first(engine, "link_count")] += 1


def stored(engine: Engine) -> None:
    engine.state.write("stored")[_first(engine, "holders")] = 0


def stored_beside_what_was_swept(engine: Engine) -> None:
    engine.state.cursor[layout.CURSOR_LOST] = 1
    stored(engine)


def total(engine: Engine) -> None:
    engine.state.write("totals")[layout.TOTAL_UNIQUE, 1] += 1


def log_delta(engine: Engine) -> None:
    log = engine.log
    log.rows.charged_bytes[0] += 1


def charge_of_a_scope(engine: Engine) -> None:
    used = engine.ledger._used.write()
    used[0, 1] += 1
    used[1, 1] -= 1


def unlinked_target(engine: Engine) -> None:
    state = engine.state
    target = state.read("tag_link")
    state.write("linked")[target[target >= 0][0]] = 0


def tag_count(engine: Engine) -> None:
    engine.state.write("tag_count")[_first(engine, "tag_count")] += 1


def tag_list(engine: Engine) -> None:
    first = engine.state.write("first_tag")
    first[np.flatnonzero(first >= 0)[0]] = -1


def foreign_repository(engine: Engine) -> None:
    links, state = engine.names.links, engine.state
    tag = int(np.flatnonzero(state.read("tag_link") >= 0)[0])
    elsewhere = (links.first != engine.names.tag_repository[tag]) & (state.read("linked") != 0)
    state.write("tag_link")[tag] = np.flatnonzero(elsewhere)[0]


def parent_count(engine: Engine) -> None:
    engine.state.write("parent_count")[_first(engine, "parent_count")] -= 1


def time_backwards(engine: Engine) -> None:
    engine.log.rows.time[1] = engine.log.rows.time[0] - 1


def future(engine: Engine) -> None:
    engine.state.now = int(engine.log.column("time")[-1]) - 1


def cause(engine: Engine) -> None:
    engine.log.rows.cause[0] = 3


def event_out_of_range(engine: Engine) -> None:
    engine.state.write("link_event")[0] = len(engine.log)


DAMAGE = {
    holders: "live manifests contain it",
    negative_holders: "is -1, and",
    link_count: "repositories link it",
    stored: "is held and not stored",
    stored_beside_what_was_swept: "is held and not stored",
    total: "by running total and",
    log_delta: "the log's deltas add up to",
    charge_of_a_scope: "in the ledger and",
    unlinked_target: "points to a manifest that is not linked",
    tag_count: "tags point to it",
    tag_list: "tags point to something",
    foreign_repository: "points into another repository",
    parent_count: "linked indexes list it",
    time_backwards: "lies before the one before it in time",
    future: "after the registry's time",
    cause: "is caused by a later one",
    event_out_of_range: "points to event",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_each_broken_rule_is_named(registry: qs.Registry, damage: Callable[[Engine], None]):
    damage(registry.engine)
    with pytest.raises(qs.StateDamaged) as caught:
        registry.check()
    assert any(DAMAGE[damage] in sentence for sentence in caught.value.damage), caught.value.damage
