"""How long a run takes: the arithmetic by hand, runs that are cut off, laws, and what reported runs say of others."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quotasim as qs
from quotasim.gc.calibration import COLUMNS, calibrate, fit, predict, read_runs, spread
from quotasim.gc.cost import COLLECTORS, STORES, CostModel, Requests, StoreTimes, Work, estimate

from . import gc_cost_table
from .strategies import START

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
SLOW = StoreTimes("slow", list=2 * SECOND, read=SECOND, delete=10 * SECOND)
INSTANT = StoreTimes("instant", list=0, read=0, delete=0)
WALK = {"per_blob": Requests(lists=1), "per_manifest": Requests(lists=1, reads=3)}


def works():
    """Return a strategy of small works."""
    sizes = st.lists(st.integers(0, 2**60), max_size=12)
    tags = st.lists(st.integers(0, 50), max_size=12)
    count = st.integers(0, 1000)
    return st.builds(
        lambda *counts: Work(*counts[:4], np.array(counts[4]), np.array(counts[5])), *[count] * 4, tags, sizes
    )


def models():
    """Return a strategy of models."""
    request = st.builds(Requests, st.integers(0, 3), st.integers(0, 3))
    time = st.integers(0, 10**7)
    times = st.builds(StoreTimes, st.just("drawn"), time, time, time)
    return st.builds(
        CostModel,
        mark=times,
        sweep=times,
        mark_workers=st.integers(1, 20),
        sweep_workers=st.integers(1, 20),
        per_blob=request,
        per_manifest=request,
        per_blob_link=request,
        per_candidate=request,
        tag_lookups=st.sampled_from(["never", "mark", "delete"]),
        deletes_per_minute=st.none() | st.integers(1, 5000),
        sweeps_blobs=st.booleans(),
        read_only=st.sampled_from(["never", "mark", "run"]),
    )


# -- arithmetic


def test_marking_lists_and_reads_one_after_the_other():
    work = Work.of_counts(stored_blobs=100, linked_manifests=10)
    # 110 listings of 2 s and 30 reads of 1 s
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, **WALK))
    assert (run.mark, run.sweep, run.total) == (250 * SECOND, 0, 250 * SECOND)


def test_workers_share_the_marking_and_round_up():
    work = Work.of_counts(stored_blobs=100, linked_manifests=10)
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, mark_workers=16, **WALK))
    assert run.mark == 15_625_000
    assert estimate(work, CostModel(mark=SLOW, sweep=SLOW, mark_workers=7, **WALK)).mark == 35_714_286


def test_no_number_of_workers_makes_one_request_shorter():
    work = Work.of_counts(stored_blobs=2, blobs=2)
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, mark_workers=100, sweep_workers=100, **WALK))
    assert (run.mark, run.sweep) == (2 * SECOND, 10 * SECOND)


def test_version_3_walks_blob_links_and_a_database_only_what_goes():
    work = Work.of_counts(stored_blobs=4000, linked_manifests=1000, blob_links=3000, blobs=7)
    assert COLLECTORS["distribution-2.8"].mark_requests(work) == Requests(5000, 6000)
    assert COLLECTORS["distribution-3"].mark_requests(work) == Requests(8000, 18000)
    assert COLLECTORS["harbor"].mark_requests(work) == Requests(0, 7)


def test_deleting_a_manifest_reads_every_tag_of_its_repository_where_the_collector_looks_them_up():
    work = Work.of_counts(manifests=3, tags_each=1000, blobs=6)
    model = CostModel(mark=SLOW, sweep=SLOW, tag_lookups="delete")
    # 3 times 1,000 reads and a deletion, then 6 deletions
    assert estimate(work, model).sweep == (3 * 1010 + 60) * SECOND
    assert estimate(work, replace(model, tag_lookups="never")).sweep == 90 * SECOND


def test_two_workers_wait_for_the_longest_manifest():
    work = Work(0, 0, 0, 0, np.array([90, 0, 0]), np.array([], np.int64))
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, tag_lookups="delete", sweep_workers=2))
    assert run.manifest_ends.tolist() == [100 * SECOND] * 3  # 50, 55 and 60 if they shared it


def test_looking_tags_up_while_marking_costs_manifests_times_tags():
    work = Work.of_counts(linked_manifests=10, mark_tags=200)
    assert estimate(work, CostModel(mark=SLOW, sweep=SLOW, tag_lookups="mark")).mark == 200 * SECOND


def test_acr_premium_needs_70_minutes_for_140_000_manifests_however_fast_it_is():
    model = replace(COLLECTORS["acr-premium"], mark=INSTANT, sweep=INSTANT, sweep_workers=32)
    run = estimate(Work.of_counts(manifests=140_000), model)
    assert run.total == 70 * MINUTE
    assert run.after(10 * MINUTE).manifests == 20_000
    assert estimate(Work.of_counts(manifests=140_000), replace(model, deletes_per_minute=500)).total == 280 * MINUTE


def test_blobs_count_towards_the_limit_where_the_run_sweeps_them():
    work = Work.of_counts(manifests=30, blobs=31)
    model = CostModel(mark=INSTANT, sweep=INSTANT, deletes_per_minute=60)
    assert estimate(work, model).total == 61 * SECOND
    assert estimate(work, replace(model, sweeps_blobs=False)).total == 30 * SECOND


@pytest.mark.parametrize(("part", "read_only"), [("never", 0), ("mark", 250 * SECOND), ("run", 300 * SECOND)])
def test_the_read_only_window(part, read_only):
    work = Work.of_counts(stored_blobs=100, linked_manifests=10, blobs=5)
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, read_only=part, **WALK))
    assert run.read_only == read_only
    assert run.after(100 * SECOND).read_only == min(read_only, 100 * SECOND)


def test_a_run_without_work_takes_no_time_and_is_finished():
    run = estimate(Work.of_counts(), COLLECTORS["distribution-2.8"])
    assert (run.total, run.after(0).finished, run.after(0).freed_bytes) == (0, True, 0)


# -- runs that are cut off


def test_a_timeout_frees_what_was_reached_and_manifests_go_first():
    # 100 s to mark, 50 manifests of 10 s, then blobs of 10 s with 1, 2, 3, ... bytes
    work = Work(50, 0, 0, 0, np.zeros(50, np.int64), np.arange(1, 1001))
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, read_only="run", **WALK))
    at = {seconds: run.after(seconds * SECOND) for seconds in (99, 109, 110, 599, 600, 619, 3600)}
    assert [(cut.manifests, cut.blobs) for cut in at.values()] == [
        (0, 0),
        (0, 0),
        (1, 0),
        (49, 0),
        (50, 0),
        (50, 1),
        (50, 300),
    ]
    assert at[3600].freed_bytes == 300 * 301 // 2
    assert (at[3600].finished, at[3600].read_only) == (False, HOUR)
    end = run.after(10**15)
    assert (end.elapsed, end.blobs, end.freed_bytes, end.finished) == (10_600 * SECOND, 1000, 500_500, True)


def test_what_the_service_sweeps_counts_when_the_last_manifest_is_gone():
    work = Work.of_counts(manifests=100, blobs=10, total_bytes=1000)
    run = estimate(work, CostModel(mark=SLOW, sweep=SLOW, sweeps_blobs=False))
    assert run.after(999 * SECOND).freed_bytes == 0
    assert run.after(1000 * SECOND) == replace(run.after(1000 * SECOND), manifests=100, freed_bytes=1000, finished=True)


def test_bytes_beyond_two_to_the_63_are_exact():
    work = Work(0, 0, 0, 0, np.array([], np.int64), np.full(4, 2**62))
    assert estimate(work, CostModel(mark=SLOW, sweep=SLOW)).after(30 * SECOND).freed_bytes == 3 * 2**62


# -- from a plan


def test_a_plans_work_has_its_order_and_its_sizes():
    registry = qs.Registry("distribution-2.8", start=START)
    for name, size in (("b/app:1", 100), ("a/app:1", 200), ("a/app:2", 300)):
        registry.push(name, qs.Image([qs.Blob.synthetic(name, size)], qs.Blob.synthetic(f"{name} config", 1)))
    registry.untag("a/app:2")
    registry.untag("b/app:1")
    registry.push("b/app:2", qs.Image([qs.Blob.synthetic("kept", 9)], qs.Blob.synthetic("kept config", 1)))
    registry.tag("b/app:2", "3")
    plan = registry.plan_gc("delete-untagged")
    sizes = registry.engine.content.graph().size[plan.blobs]
    counts = {"a/app": 2, "b/app": 2}
    work = Work.of_plan(plan, blob_bytes=sizes, stored_blobs=12, manifests=counts, tags={"a/app": 1, "b/app": 2})
    assert (work.manifests, work.blobs, work.linked_manifests) == (2, 6, 4)
    assert work.manifest_tags.tolist() == [1, 2]
    assert work.mark_tags == 2 * 1 + 2 * 2
    run = estimate(work, CostModel(mark=INSTANT, sweep=SLOW))
    assert run.after(20 * SECOND).freed_bytes == 0
    assert run.after(50 * SECOND).freed_bytes == int(sizes[:3].sum())
    assert run.after(run.total).freed_bytes == plan.reclaimable_bytes == registry.apply(plan).freed_stored_bytes
    for wrong in (sizes[:-1], sizes + 1):
        with pytest.raises(qs.InvalidValue) as caught:
            Work.of_plan(plan, blob_bytes=wrong, stored_blobs=12, manifests=counts, tags={})
        assert caught.value.name == "blob_bytes"


# -- wrong calls


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: StoreTimes("x", 1, -1, 1), "read"),
        (lambda: StoreTimes("x", 1, 1, 0.5), "delete"),
        (lambda: Requests(lists=-1), "lists"),
        (lambda: CostModel(mark_workers=0), "mark_workers"),
        (lambda: CostModel(sweep_workers=1.5), "sweep_workers"),
        (lambda: CostModel(deletes_per_minute=0), "deletes_per_minute"),
        (lambda: CostModel(tag_lookups="always"), "tag_lookups"),
        (lambda: CostModel(read_only="sweep"), "read_only"),
        (lambda: Work.of_counts(blobs=-1), "blobs"),
        (lambda: Work.of_counts(stored_blobs=True), "stored_blobs"),
        (lambda: Work.of_counts(total_bytes=1), "total_bytes"),
        (lambda: Work(0, 0, 0, 0, np.array([-1]), np.array([1])), "manifest_tags"),
        (lambda: Work(0, 0, 0, 0, np.array([1]), np.array([1.5])), "blob_bytes"),
        (lambda: estimate(Work.of_counts(), CostModel()).after(-1), "elapsed"),
        (lambda: estimate(Work.of_counts(stored_blobs=10**18), COLLECTORS["zot"]), "work"),
        (lambda: spread([]), "predictions"),
    ],
)
def test_a_wrong_value_is_named(call, name):
    with pytest.raises(qs.InvalidValue) as caught:
        call()
    assert caught.value.name == name


# -- laws


@given(works(), models(), st.integers(1, 20))
def test_more_workers_are_never_slower(work, model, more):
    faster = replace(model, mark_workers=model.mark_workers + more, sweep_workers=model.sweep_workers + more)
    before, after = estimate(work, model), estimate(work, faster)
    assert after.mark <= before.mark
    assert after.sweep <= before.sweep


@given(works(), models(), st.integers(1, 5000))
def test_a_limit_is_a_floor_and_never_makes_a_run_faster(work, model, limit):
    limited = estimate(work, replace(model, deletes_per_minute=limit))
    deletes = work.manifests + (work.blobs if model.sweeps_blobs else 0)
    assert limited.sweep * limit >= deletes * MINUTE
    assert limited.sweep >= estimate(work, replace(model, deletes_per_minute=None)).sweep


@given(works(), works(), models())
def test_one_run_over_both_takes_at_least_as_long_as_either_and_at_most_as_long_as_one_after_the_other(a, b, model):
    first, second, both = (estimate(work, model) for work in (a, b, a + b))
    assert max(first.mark, second.mark) <= both.mark <= first.mark + second.mark
    assert max(first.sweep, second.sweep) <= both.sweep


@given(works(), models(), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_a_longer_run_frees_more_and_never_more_than_the_plan(work, model, times):
    run = estimate(work, model)
    times += [run.mark, max(run.mark - 1, 0)]
    cuts = [run.after(elapsed) for elapsed in (*sorted(times), max(*times, run.total))]
    for before, after in itertools.pairwise(cuts):
        assert before.manifests <= after.manifests
        assert before.blobs <= after.blobs
        assert before.freed_bytes <= after.freed_bytes
        assert before.read_only <= after.read_only
    for cut in cuts:
        assert cut.blobs == 0 or cut.manifests == work.manifests
        assert cut.elapsed >= run.mark or cut.manifests == cut.blobs == 0
        assert cut.freed_bytes == sum(work.blob_bytes.tolist()[: cut.blobs])
        assert cut.read_only <= min(run.read_only, cut.elapsed)
        assert cut.finished == (cut.elapsed == run.total)
    assert (cuts[-1].manifests, cuts[-1].blobs) == (work.manifests, work.blobs)


@given(works(), models())
def test_just_before_its_end_a_sweep_has_something_left(work, model):
    run = estimate(work, model)
    if run.sweep:
        cut = run.after(run.total - 1)
        assert (cut.manifests, cut.blobs) != (work.manifests, work.blobs)


# -- reported runs


@pytest.fixture(scope="module")
def runs():
    with gc_cost_table.RUNS.open(newline="", encoding="utf-8") as file:
        return read_runs(file)


def test_the_times_of_the_stores_are_fitted_to_the_reported_runs(runs):
    assert calibrate(runs)[0] == STORES


def test_a_single_run_gives_its_own_time_per_request(runs):
    # 8 hours for 600,000 requests
    found = fit([run for run in runs if run.run == "distribution#2812"])
    assert found == {("remote", "read"): pytest.approx(48_000)}


def test_two_runs_of_one_request_give_the_geometric_mean(runs):
    # 48 ms as above, and 13 hours for 500,000 requests: 93.6 ms
    pair = [run for run in runs if run.run in ("distribution#2812", "distribution#1950")]
    assert fit(pair) == {("remote", "read"): pytest.approx((48_000 * 93_600) ** 0.5)}


def test_reads_and_deletions_are_told_apart(runs):
    # 519 reads and a deletion in 20 s, 5,853 deletions in 4,793 s: both hold exactly
    pair = [run for run in runs if run.run in ("zot#4235", "harbor#13154, sweep")]
    delete = 4793 * SECOND / 5853
    assert fit(pair) == {
        ("remote", "read"): pytest.approx((20 * SECOND - delete) / 519),
        ("remote", "delete"): pytest.approx(delete),
    }


def test_reports_that_contradict_each_other_still_have_a_nearest_time(runs):
    # Undamped, the steps go to infinity.
    (like,) = (run for run in runs if run.run == "zot#4235")
    counts = [(1000, 1000, 10**6), (100, 1000, 10**8), (1000, 100, 10**9)]
    contrary = [
        replace(like, work=Work.of_counts(linked_manifests=reads, blobs=blobs), reported=reported)
        for reads, blobs, reported in counts
    ]
    found = fit(contrary)
    read, delete = found["remote", "read"], found["remote", "delete"]

    def error(read, delete):
        return sum(np.log((reads * read + blobs * delete) / reported) ** 2 for reads, blobs, reported in counts)

    nearest = error(read, delete)
    for factor in (0.99, 1.01):
        assert error(read * factor, delete) > nearest
        assert error(read, delete * factor) > nearest


def test_a_runs_own_time_does_not_change_its_prediction(runs):
    for run in runs:
        changed = tuple(
            replace(other, reported=other.reported * 1000) if other.registry == run.registry else other
            for other in runs
        )
        (same,) = (other for other in changed if other.run == run.run)
        assert predict(same, changed).predicted == predict(run, runs).predicted
        assert not {other.run for other in runs if other.registry == run.registry} & set(predict(run, runs).fitted_to)


def test_no_run_outside_table_9_is_fitted_to_where_the_table_tells(runs):
    table = {run.run for run in runs if run.source == "table 9"}
    for run in runs:
        if run.store == "remote" and run.run != "harbor#13154, mark":
            assert set(predict(run, runs).fitted_to) <= table


def test_there_are_fewer_parameters_than_runs_and_none_belongs_to_one_registry_but_the_databases(runs):
    chosen = calibrate(runs)[1]
    holders = {}
    for run in chosen:
        for name in run.demand():
            holders.setdefault(name, set()).add(run.registry)
    assert {name: len(registries) for name, registries in holders.items()} == {
        ("remote", "read"): 7,
        ("remote", "delete"): 6,
        ("filesystem", "read"): 3,
        ("filesystem", "delete"): 3,
        ("database", "read"): 1,
    }


def test_at_least_eight_runs_of_table_9_are_predicted_and_a_miss_has_its_reason(runs):
    found = [predict(run, runs) for run in runs]
    table = [each for each in found if each.run.source == "table 9" and each.run.bound == "exact"]
    assert sum(each.agrees for each in table) >= 8
    assert [each.run.run for each in found if not each.agrees and not each.run.reason] == []
    assert spread(table) < 2


def test_every_row_says_where_it_comes_from_and_bounds_are_not_fitted(runs):
    for run in runs:
        assert run.origin
        assert run.said
        assert not (run.fit and run.bound == "at least")


def test_a_parameter_that_only_the_run_itself_tells_is_missing(runs):
    (mark,) = (run for run in runs if run.run == "harbor#13154, mark")
    with pytest.raises(qs.InvalidValue, match="database read"):
        predict(mark, [run for run in runs if run.run != "harbor#18132, mark"])


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"store": "tape"}, "store"),
        ({"blobs": "-1"}, "blobs"),
        ({"mark_workers": "0"}, "mark_workers"),
        ({"reported": "soon"}, "reported"),
        ({"reported": "0s"}, "reported"),
        ({"bound": "at least", "fit": "yes"}, "fit"),
    ],
)
def test_a_broken_row_is_refused(changes, name):
    row = dict.fromkeys(COLUMNS, "") | {
        "source": "elsewhere",
        "store": "remote",
        "collector": "zot",
        "phase": "run",
        "bound": "exact",
        "fit": "no",
        "mark_workers": "1",
        "sweep_workers": "1",
        "reported": "1h",
    }
    lines = [",".join(COLUMNS), ",".join(row.values())]
    assert read_runs(lines)[0].reported == HOUR
    with pytest.raises(qs.InvalidValue) as caught:
        read_runs([lines[0], ",".join((row | changes).values())])
    assert caught.value.name == name
    with pytest.raises(qs.InvalidValue, match="no other run has"):
        read_runs([*lines, lines[1]])
    with pytest.raises(qs.InvalidValue, match="columns"):
        read_runs([lines[0].replace("phase", "part"), lines[1]])


# -- documentation


def test_the_tables_of_the_page_are_what_the_runs_give(root):
    page = (root / "docs/gc-cost.md").read_text()
    assert gc_cost_table.filled(page) == page, "python -m tests.gc_cost_table makes the tables anew"


def test_the_pages_example_prints_what_it_shows(root):
    page = (root / "docs/gc-cost.md").read_text()
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, flags=re.S).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue() == shown
