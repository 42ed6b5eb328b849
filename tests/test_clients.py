"""Clients that push at the same time: who is refused, what stays, and that a seed decides it alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

import quotasim as qs

from .strategies import PROFILES, START

SEEDS = range(20)


def images(count, layers=3, size=1_000):
    """Return images that share nothing."""
    return [
        qs.Image(
            [qs.Blob.synthetic(f"layer {image}-{layer}", size) for layer in range(layers)],
            qs.Blob.synthetic(f"config {image}", 10),
        )
        for image in range(count)
    ]


def pushes(count, **kwargs):
    return [(f"team/app:{number}", image) for number, image in enumerate(images(count, **kwargs))]


@pytest.mark.parametrize("kind", PROFILES)
def test_without_a_limit_all_is_there_in_the_end(kind):
    together, alone = (qs.Registry(replace(PROFILES[kind], limit=None), start=START) for _ in range(2))
    done = qs.push_together(together, pushes(4), seed=1, chunk=300)
    for reference, image in pushes(4):
        alone.push(reference, image)
    assert all(push.accepted for push in done)
    assert [push.sent_bytes for push in done] == [3_010] * 4
    assert [push.finished_bytes for push in done] == [3_010] * 4
    assert together.usage().charged_bytes == alone.usage().charged_bytes
    assert together.usage().stored_bytes == alone.usage().stored_bytes
    assert together.usage().upload_bytes == 0
    together.check()


def test_the_same_seed_gives_the_same_order_and_another_one_another():
    logs = []
    for seed in (1, 1, 2):
        registry = qs.Registry("harbor", start=START, limit=8_000)
        qs.push_together(registry, pushes(5), seed=seed, chunk=300)
        logs.append(registry.events())
    assert logs[0].equals(logs[1])
    assert not logs[0].equals(logs[2])


@pytest.mark.parametrize("seed", SEEDS)
def test_harbor_never_overshoots_and_quay_does(seed):
    """Harbor reserves when a request arrives; Quay measures what is there, and what runs at a time passes together."""
    harbor = qs.Registry("harbor", start=START, limit=5_000)
    done = qs.push_together(harbor, pushes(4), seed=seed, chunk=300)
    events = harbor.events()
    assert not all(push.accepted for push in done)
    assert events["charged_bytes"].cumsum().max() <= 5_000
    assert (events["charged_bytes"] + events["drift_bytes"]).cumsum().max() <= 5_000

    quay = qs.Registry("quay", start=START, limit=5_000)
    done = qs.push_together(quay, pushes(4), seed=seed, chunk=10_000)
    assert quay.events()["charged_bytes"].cumsum().max() > 5_000
    assert "PUT manifest" in {push.refused_at for push in done}
    quay.advance("30s")  # what was refused afterwards is collected
    assert quay.usage().charged_bytes < 5_000
    for registry in (harbor, quay):
        registry.check()


def test_what_a_refused_client_had_finished_stays_and_its_unfinished_uploads_too():
    registry = qs.Registry("harbor", start=START, limit=2_500)
    ((refused),) = qs.push_together(registry, pushes(1), chunk=300, blobs_at_once=4)
    assert (refused.accepted, refused.refused_at) == (False, "PUT blob")
    assert refused.verdict.refusal.status == 403
    usage = registry.usage()
    assert usage.charged_bytes == usage.stored_bytes == refused.finished_bytes > 0
    assert usage.upload_bytes == refused.sent_bytes - refused.finished_bytes
    assert usage.upload_bytes > 0
    registry.advance("8d")
    assert registry.usage().upload_bytes == 0


def test_a_client_that_cleans_up_leaves_no_unfinished_upload():
    registry = qs.Registry("harbor", start=START, limit=2_500)
    qs.push_together(registry, pushes(1), chunk=300, cancels=True)
    assert (registry.usage().upload_bytes, registry.uploads()) == (0, [])
    assert registry.usage().counted_bytes == registry.usage().charged_bytes


def test_what_two_clients_share_is_sent_by_both_and_stored_once():
    base = qs.Blob.synthetic("base", 5_000)
    shared = [(f"team/app:{n}", qs.Image([base], qs.Blob.synthetic(f"config {n}", 10))) for n in range(2)]
    registry = qs.Registry("harbor", start=START)
    done = qs.push_together(registry, shared, seed=3, chunk=500)
    assert [push.sent_bytes for push in done] == [5_010] * 2
    usage = registry.usage()
    assert usage.stored_bytes == 5_000 + 20 + sum(image.size for _, image in shared)
    later = qs.push_together(registry, [("team/app:9", shared[0][1])], chunk=500)
    assert later[0].sent_bytes == 0
    assert later[0].requests == 4  # two HEADs; the manifest's arrival and its end


def test_an_index_is_pushed_after_its_children():
    children = images(2)
    index = qs.Index(
        [child.on(platform) for child, platform in zip(children, ("linux/amd64", "linux/arm64"), strict=True)]
    )
    registry = qs.Registry("distribution-2.8", start=START)
    (done,) = qs.push_together(registry, [("app:1", index)])
    assert done.accepted
    assert registry.pull("app:1") == index.digest
    assert len(registry.df("image")) == 1


def test_time_passes_between_requests_and_what_takes_too_long_is_purged():
    profile = replace(PROFILES["distribution-2.8"], uploads_purged_after=3_000_000, uploads_purged_every=0)
    registry = qs.Registry(profile, start=START)
    (done,) = qs.push_together(registry, pushes(1, layers=1), chunk=100, blobs_at_once=1, pause="1s")
    assert (done.accepted, done.refused_at) == (False, "PUT blob")
    assert registry.usage().upload_bytes == 0
    assert registry.now >= qs.parse_time(START, name="start") + 3_000_000


@pytest.mark.parametrize(("name", "value"), [("chunk", 0), ("blobs_at_once", 0)])
def test_a_wrong_number_is_refused(name, value):
    with pytest.raises(qs.InvalidValue, match=name):
        qs.push_together(qs.Registry("harbor"), pushes(1), **{name: value})
