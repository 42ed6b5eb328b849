"""Pushes to the real registry while its collector runs, and what ours says of them.

The collector waits in the middle of its work when nobody reads what it says: 4 KiB of lines are some forty things
marked or swept. So each race here happens in every run, and not by luck. The server has no cache.
"""

from __future__ import annotations

import pytest

from .distribution import RealRegistry, Twins, image, payload, scratch

LAYERS = [payload(f"layer {number}", 30 + number) for number in range(60)]
OLD, NEW, OTHER = payload("old", 1000), payload("new", 200), payload("other", 300)
CONFIGS = [payload(f"config {number}", 20 + number) for number in range(6)]
FILLER = image(LAYERS, CONFIGS[0])  # more lines than the pipe takes
BEHIND, AHEAD = image([OLD, NEW], CONFIGS[1]), image([OLD, OTHER], CONFIGS[2])
FIRST = image([OLD], CONFIGS[0])


@pytest.fixture(scope="module")
def server():
    with scratch() as folder, RealRegistry(folder) as running:
        yield running


@pytest.fixture
def twins(server):
    server.reset()
    return Twins(server)


def test_a_repository_below_another_under_a_digit_is_walked_before_it(server):
    server.reset()
    for name in ("c", "c/d", "c/0", "c-d"):
        server.client.push(name, FIRST)
    assert server.collect().repositories == ["c/0", "c", "c/d", "c-d"]


def test_a_push_behind_the_walk_is_lost_with_what_it_brought_and_one_ahead_of_it_is_not(twins):
    """distribution#3045. The collector is held within ``b``."""
    twins.push("a", FIRST, "1")
    twins.push("b", FILLER, "1")
    twins.push("c", FIRST, "1")
    marking = twins.ours.start_marking()
    with twins.real.held_collection() as collection:
        collection.wait()
        assert marking.walk(2) == ("a", "b")
        twins.push("a", BEHIND, "2")
        twins.push("c", AHEAD, "2")
        done = collection.finish()
    run = marking.sweep()
    run.finish()
    assert done.code == 0
    assert done.blobs == sorted(run.plan.swept) == sorted(part.digest for part in (BEHIND, NEW, CONFIGS[1]))
    twins.compare()
    assert [(damage.repository, damage.manifest) for damage in twins.ours.damage()] == [("a", BEHIND.digest)]
    assert twins.real.client.get_manifest("a", "2").status == 404
    assert twins.real.client.get_blob("a", NEW.digest).status == 404
    assert twins.real.client.get_manifest("c", "2").status == 200


def test_a_new_repository_is_walked_only_in_a_directory_that_the_walk_has_not_entered(twins):
    for name in ("a/old", "b", "c/old"):
        twins.push(name, FILLER if name == "b" else FIRST, "1")
    marking = twins.ours.start_marking()
    with twins.real.held_collection() as collection:
        collection.wait()
        marking.walk(2)
        images = {name: image([OLD], CONFIGS[place]) for place, name in enumerate(("a/new", "c/new", "d"), 1)}
        for name, document in images.items():
            twins.push(name, document, "1")
        done = collection.finish()
    assert done.repositories == ["a/old", "b", "c/new", "c/old"]
    assert marking.waiting() == ("c/new", "c/old")
    marking.sweep().finish()
    twins.compare()
    assert [damage.repository for damage in twins.ours.damage()] == ["a/new", "d"]


def test_what_is_deleted_after_it_was_marked_stays_until_the_next_run(twins):
    twins.push("a", FIRST, "1")
    twins.push("b", FILLER, "1")
    marking = twins.ours.start_marking()
    with twins.real.held_collection() as collection:
        collection.wait()
        marking.walk(2)
        twins.delete("a", FIRST.digest)
        done = collection.finish()
    marking.sweep().finish()
    assert done.blobs == []
    twins.compare()
    twins.collect()
    twins.compare()


def test_a_push_during_the_sweep_loses_the_layers_that_it_finds_there(twins):
    """The collector is held while it sweeps: what it has not reached is there for the push, and goes all the same."""
    twins.push("b", FILLER, "1")
    twins.push("c", FIRST, "1")
    twins.delete("b", FILLER.digest)
    run = twins.ours.start_gc()
    with twins.real.held_collection() as collection:
        collection.wait()
        there = twins.real.disk().digests
        left = [layer for layer in LAYERS if layer.digest in there]
        assert 0 < len(left) < len(LAYERS)
        pushed = image([left[0], NEW], CONFIGS[4])
        twins.push("c", pushed, "2")
        done = collection.finish()
    run.finish()
    assert left[0].digest in done.blobs
    twins.compare()
    assert [damage.missing for damage in twins.ours.damage()] == [(left[0].digest,)]
    assert twins.real.client.get_manifest("c", "2").status == 200
    assert twins.real.client.get_blob("c", left[0].digest).status == 404


def test_a_collector_that_is_killed_in_its_sweep_has_freed_what_it_reached(twins):
    twins.push("b", FILLER, "1")
    twins.delete("b", FILLER.digest)
    before = twins.real.disk().digests
    with twins.real.held_collection() as collection:
        collection.wait()
    left = twins.real.disk().digests
    assert 0 < len(left) < len(before)
    assert twins.real.collect().blobs == sorted(left)  # the next run takes the rest
    run = twins.ours.start_gc()
    run.step(len(before) - len(left))
    run.abort()
    assert len(twins.ours.plan_gc().swept) == len(left)
    twins.ours.apply(twins.ours.plan_gc())
    twins.compare()
    assert twins.real.disk().digests == set()
