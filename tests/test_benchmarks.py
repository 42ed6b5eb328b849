"""What the benchmarks stand on: the workload is what it says, and the peers are right. Nothing is timed."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from quotasim.bench import compiled
from quotasim.bench.peers import graph, interning, replay, usage
from quotasim.bench.workload import MOST_LAYERS, Workload, make_workload

FRACTION = 0.002


@pytest.fixture(scope="module")
def workload() -> Workload:
    return make_workload(FRACTION)


class TestWorkload:
    def test_sizes_are_the_fraction_asked_for(self, workload: Workload) -> None:
        assert workload.sizes() == {
            "manifests": 2_000,
            "references": 20_000,
            "blobs": 4_000,
            "namespaces": 2,
            "events": 2_570,
            "indexes": 100,
        }

    def test_the_same_seed_draws_the_same_and_another_does_not(self, workload: Workload) -> None:
        again, other = make_workload(FRACTION), make_workload(FRACTION, seed=1)
        for field in dataclasses.fields(Workload):
            values = getattr(workload, field.name)
            assert np.array_equal(values, getattr(again, field.name))
            assert values.dtype == getattr(other, field.name).dtype
        assert not np.array_equal(workload.target[:100], other.target[:100])

    def test_no_manifest_names_a_blob_twice(self, workload: Workload) -> None:
        for start, stop in zip(workload.indptr, workload.indptr[1:], strict=False):
            blobs = workload.target[start:stop].tolist()
            assert 1 <= len(blobs) == len(set(blobs)) <= MOST_LAYERS
        assert 0 <= workload.target.min() <= workload.target.max() < workload.blob_count

    def test_every_manifest_is_pushed_once_and_deleted_after_that_at_most_once(self, workload: Workload) -> None:
        pushed, deleted = set(), set()
        for manifest, is_delete in zip(
            workload.event_manifest.tolist(), workload.event_is_delete.tolist(), strict=True
        ):
            assert manifest not in deleted
            assert (manifest in pushed) == is_delete
            (deleted if is_delete else pushed).add(manifest)
        assert len(pushed) == workload.manifest_count
        assert len(deleted) == 570
        assert np.all(np.diff(workload.event_time) > 0)

    def test_indexes_have_2_to_4_children_of_one_namespace(self, workload: Workload) -> None:
        assert Counter(workload.index_child.tolist()).most_common(1)[0][1] == 1
        for start, stop in zip(workload.index_indptr, workload.index_indptr[1:], strict=False):
            assert 2 <= stop - start <= 4
            assert len(set(workload.namespace[workload.index_child[start:stop]].tolist())) == 1

    def test_popularity_follows_zipf_over_random_ids(self) -> None:
        workload = make_workload(0.02)
        count = np.bincount(workload.target, minlength=workload.blob_count)
        # Of 40,000 ranks of exponent 0.8 the first hundred get 0.2187 (5 n**0.2 - 4.4375 is the sum up to
        # n), less what repeats in one manifest lose when they are drawn again.
        most = np.argsort(count)[::-1]
        assert 0.20 < count[most[:100]].sum() / count.sum() < 0.2187
        assert 15_000 < most[:100].mean() < 25_000

    def test_sizes_have_the_quantiles_of_real_layers(self, workload: Workload) -> None:
        low, median, high = np.quantile(workload.blob_size, [0.25, 0.5, 0.9])
        assert 300 < low < 450
        assert 4_000 < median < 12_000
        assert 45e6 < high < 60e6


class TestPeers:
    def test_both_replays_agree_and_their_figures_hold_together(self, workload: Workload) -> None:
        trace = replay.plain_trace(workload)
        one, other = replay.replay_by_namespace(trace), replay.replay_by_pair(trace)
        for field in dataclasses.fields(replay.Replayed):
            assert getattr(one, field.name) == getattr(other, field.name)
        # Recounted from what is live at the end.
        live = set()
        for (manifest, is_delete), refused in zip(trace.events, one.refused, strict=True):
            if is_delete:
                live.discard(manifest)
            elif not refused:
                live.add(manifest)
        assert 0 < sum(one.refused) < workload.manifest_count / 2
        holders = Counter(blob for manifest in live for blob in trace.blobs[manifest])
        assert holders == Counter({blob: n for blob, n in enumerate(one.holders) if n})
        own = sum(trace.manifest_size[manifest] for manifest in live)
        assert sum(one.unique) == own + sum(trace.blob_size[blob] for blob in holders)
        pairs = {(trace.namespace[manifest], blob) for manifest in live for blob in trace.blobs[manifest]}
        assert sum(one.charged) == sum(one.used) == own + sum(trace.blob_size[blob] for _, blob in pairs)
        ever = {
            manifest
            for (manifest, is_delete), refused in zip(trace.events, one.refused, strict=True)
            if not is_delete and not refused
        }
        disk = {blob for manifest in ever for blob in trace.blobs[manifest]}
        own_ever = sum(trace.manifest_size[manifest] for manifest in ever)
        assert sum(one.stored) == own_ever + sum(trace.blob_size[blob] for blob in disk)
        assert all(used <= limit for used, limit in zip(one.used, trace.limit, strict=True))

    def test_mark_and_sweep_is_that_of_sets(self, workload: Workload) -> None:
        plain = graph.plain_graph(workload)
        rng = np.random.default_rng(0)
        image_root, index_root = rng.random(plain.own.size) < 0.3, rng.random(plain.index_own.size) < 0.6
        stored = rng.random(plain.blob_size.size) < 0.9
        swept, freed = graph.with_numpy(plain, image_root, index_root, stored)
        images = set(np.flatnonzero(image_root).tolist())
        marked = set()
        for index in np.flatnonzero(index_root).tolist():
            marked.add(int(plain.index_own[index]))
            children = plain.index_child[plain.index_indptr[index] : plain.index_indptr[index + 1]]
            images.update(children.tolist())
        for image in images:
            marked.add(int(plain.own[image]))
            marked.update(plain.target[plain.indptr[image] : plain.indptr[image + 1]].tolist())
        garbage = set(np.flatnonzero(stored).tolist()) - marked
        assert set(swept.tolist()) == garbage
        assert freed == sum(int(plain.blob_size[blob]) for blob in garbage)

    def test_interning_gives_rows_in_order_of_first_appearance(self, workload: Workload) -> None:
        words = workload.blob_digest[workload.target]
        digests = [row.tobytes() for row in words]
        expected = {digest: row for row, digest in enumerate(dict.fromkeys(digests))}
        rows = [expected[digest] for digest in digests]
        assert interning.intern_with_dict(digests) == rows
        assert interning.intern_with_arrow(words).tolist() == rows

    def test_usage_is_that_of_sets(self, workload: Workload) -> None:
        namespace = np.repeat(workload.namespace, np.diff(workload.indptr)).tolist()
        expected = [0] * workload.namespace_count
        for where, blob in set(zip(namespace, workload.target.tolist(), strict=True)):
            expected[where] += int(workload.blob_size[blob])
        assert usage.by_sorting(workload).tolist() == expected
        assert usage.by_stamping(workload).tolist() == expected

    def test_c_replays_as_dicts_do(self, workload: Workload, tmp_path: Path) -> None:
        if shutil.which(compiled.COMPILER) is None:
            pytest.skip("there is no C compiler")
        pair, pairs = compiled.number_pairs(workload)
        assert np.unique(pair).tolist() == list(range(pairs))
        outcome, counts = compiled.new_outcome(workload, pairs)
        refused = compiled.replay_pairs(compiled.compile_c("replay", tmp_path), workload, pair, outcome, counts)
        expected = replay.replay_by_namespace(replay.plain_trace(workload))
        assert refused == sum(expected.refused)
        for field in dataclasses.fields(replay.Replayed):
            assert getattr(outcome, field.name).tolist() == list(getattr(expected, field.name))
