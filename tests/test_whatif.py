"""Branches that live through the same operations: as if each had been led by hand, and never the base."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quotasim as qs
from quotasim import frames, whatif, workloads
from quotasim.errors import InvalidValue, TimeReversed
from quotasim.frames.scenarios import UNITS, mean_of_steps
from quotasim.importers.load_trace import LoadedTrace, replay_trace
from quotasim.importers.trace_table import TraceOp
from quotasim.importers.traces import read_trace
from quotasim.registry import as_trace
from quotasim.whatif import BASE, Scenario, compare, run_scenarios

from .strategies import DAY, PROFILES, START, checked
from .trace_lines import EVERYTHING, write_lines

KEEP_3 = qs.RetentionPolicy([qs.KeepNewest(3)])
WEEK = 7 * DAY


@pytest.fixture(scope="module")
def stream():
    """Some weeks of releases, from the second of January on."""
    return workloads.releases(
        products=4,
        minors=3,
        patches=4,
        minor_every="14d",
        patch_every="3d",
        tag_lifetime=None,
        start="2026-01-02",
        seed=3,
    )


def image(label, size=1_000):
    return qs.Image([qs.Blob.synthetic(label, size)])


def value(runs, scenario, figure):
    """Return one figure of the comparison."""
    table = compare(runs).set_index(["scenario", "figure"])
    return int(table.loc[(scenario, figure), "value"])


def columns(registry):
    """Return the log of a registry."""
    return registry.events()


# Playing a trace in parts


@pytest.mark.parametrize("name", ["refcount", "acr-premium", "distribution-2.8", "quay", "harbor", "gitlab"])
def test_a_trace_played_in_parts_is_the_trace_played_whole(tmp_path, name):
    """All operations, uploads and a deleted repository among them, cut at every time there is and between."""
    trace = read_trace(write_lines(tmp_path / "all.jsonl.zst", EVERYTHING))
    assert TraceOp.DELETE_REPOSITORY in trace.op
    profile = PROFILES[name]
    whole = qs.Registry.from_engine(replay_trace(trace, profile))
    base = qs.Registry(profile, start=qs.format_time(int(trace.time[0])))
    player = LoadedTrace(trace, base.engine).on(base.engine)
    for time in np.unique(trace.time).tolist():
        player.play(time - 1 if time > base.now else time)
        player.play(time)
        assert base.now == time
    player.play()
    assert base.engine.figures() == whole.engine.figures()
    left, right = (columns(registry).drop(columns=["batch"]) for registry in (base, whole))
    pd.testing.assert_frame_equal(left, right)


def test_a_trace_is_played_on_its_own_catalogue_only(stream):
    loaded = LoadedTrace(stream, qs.Registry("refcount").engine)
    with pytest.raises(InvalidValue, match="catalogue"):
        loaded.on(qs.Registry("refcount").engine)


def test_a_registry_goes_on_with_a_trace(stream):
    registry = qs.Registry("distribution-2.8", start="2025-12-31")
    registry.schedule_gc("7d")
    registry.replay(stream)
    assert registry.now == stream.time[-1]
    runs = registry.events().query("kind == 'GC'")
    assert len(runs) == (registry.now - qs.parse_time("2025-12-31")) // WEEK
    with pytest.raises(TimeReversed):
        registry.replay(stream)


# Scenarios


def by_hand(base, stream, days, act):
    """Lead a branch by hand: its operations day by day, and something at the end of each."""
    branch = base.branch()
    player = LoadedTrace(stream, branch.engine).on(branch.engine)
    for day in range(1, days + 1):
        player.play(base.now + day * DAY)
        act(branch, day)
    player.play(int(stream.time[-1]))
    return branch


def test_retention_is_what_a_hand_would_do_every_day(stream):
    base = qs.Registry("acr-premium", start="2026-01-01")
    runs = run_scenarios(base, {"keep 3": Scenario(retention=KEEP_3)}, operations=stream)
    days = (int(stream.time[-1]) - base.now) // DAY
    expected = by_hand(base, stream, days, lambda branch, _: branch.retain(KEEP_3))
    found = runs.registries["keep 3"]
    assert found.engine.figures() == expected.engine.figures()
    assert found.usage() == expected.usage()
    assert value(runs, "keep 3", "tags") < value(runs, BASE, "tags")


def test_a_collection_runs_after_the_retention_of_its_time(stream):
    """Both are due at the end of each week: what retention lets go is collected the same night."""
    base = qs.Registry("distribution-2.8", start="2026-01-01")
    scenario = Scenario(retention=KEEP_3, retention_every="7d", gc="delete-untagged", gc_every="7d")
    runs = run_scenarios(base, {"weekly": scenario}, operations=stream)

    def night(branch, day):
        if day % 7 == 0:
            branch.retain(KEEP_3)
            branch.apply(branch.plan_gc("delete-untagged"))

    days = (int(stream.time[-1]) - base.now) // DAY
    expected = by_hand(base, stream, days, night)
    assert runs.registries["weekly"].engine.figures() == expected.engine.figures()
    events = runs.registries["weekly"].events()
    night = events[events["time"] == events.query("kind == 'GC'")["time"].iloc[0]]["kind"].tolist()
    assert night.index("UNTAG") < night.index("GC") < night.index("SWEEP")


@pytest.mark.parametrize("name", PROFILES)
def test_a_kind_is_run_as_it_usually_is(name, stream):
    """Collected once a week where it does not collect by itself, what is untagged too where it can be told to."""
    profile = PROFILES[name]
    scenario = Scenario.under(profile)
    assert scenario.profile is profile
    manual = profile.collection == "manual"
    assert scenario.gc_every == ("7d" if manual else None)
    assert scenario.gc == ("delete-untagged" if manual and "delete-untagged" in profile.gc_policies else None)
    base = qs.Registry("refcount", start="2026-01-01")
    runs = run_scenarios(base, {"usual": scenario}, operations=stream, named="plain")
    weeks = (int(stream.time[-1]) - base.now) // WEEK
    assert value(runs, "usual", "collections") == (weeks if manual else 0)
    assert (runs.base, list(runs.registries)) == ("plain", ["plain", "usual"])
    assert (compare(runs).query("scenario == 'plain'")["difference"] == 0).all()


def test_what_is_given_goes_before_what_is_usual():
    scenario = Scenario.under("distribution-2.8", gc_every="1d", gc="default", limit="1 GiB")
    assert (scenario.gc_every, scenario.gc, scenario.limit) == ("1d", "default", "1 GiB")
    with pytest.raises(qs.UnknownProfile):
        Scenario.under("distribution")


def test_what_is_changed_may_take_its_time(stream):
    """Retention keeps to the days that it has in every branch, from when the change is done on."""
    base = qs.Registry("acr-premium", start="2026-01-01")
    slow = Scenario(retention=KEEP_3, change=lambda branch: branch.advance("36h"))
    runs = run_scenarios(
        base, {"slow": slow}, operations=workloads.releases(start="2026-01-04", seed=1), until="2026-03-01"
    )
    events = runs.registries["slow"].events().query("kind == 'UNTAG'")
    assert len(events)
    assert (events["time"].dt.normalize() == events["time"]).all()


def test_the_base_is_not_changed(stream):
    base = qs.Registry("acr-premium", start="2026-01-01", limit="1 GiB")
    base.push("app:1", image("app"))
    before, version = base.usage(), base.version
    scenarios = {
        "limit": Scenario(limit=2_000),
        "kind": Scenario(profile="harbor"),
        "function": lambda branch: branch.delete("app:1"),
        "keep": Scenario(retention=KEEP_3),
    }
    runs = run_scenarios(base, scenarios, operations=stream)
    assert (base.usage(), base.version, len(base.events())) == (before, version, 1)
    assert list(runs.registries) == [BASE, *scenarios]
    assert [registry.name for registry in runs.registries.values()] == [BASE, *scenarios]
    assert base.profile.limit == 2**30


def test_every_setting_does_what_it_says():
    base = qs.Registry("distribution-2.8", start=START)
    base.push("app:1", image("one"))
    base.push("app:2", image("two"))
    base.schedule_gc("1d")
    runs = run_scenarios(
        base,
        {
            "harbor": Scenario(profile="harbor"),
            "small": Scenario(profile="harbor", limit="1 KiB"),
            "open": Scenario(profile=replace(PROFILES["harbor"], limit=10), limit="none"),
            "untagged go": Scenario(gc="delete-untagged", change=lambda branch: branch.untag("app:1")),
            "own policy": Scenario(gc=qs.GcPolicy(roots="TAGS"), change=lambda branch: branch.untag("app:1")),
            "weekly": Scenario(gc_every="7d", gc_first="2026-01-03"),
            "never": Scenario(gc_every="never"),
        },
        until="2026-01-11",
    )
    ends = runs.registries
    assert ends["harbor"].profile.name == "harbor"
    assert not ends["small"].push("app:3", image("three", 2_000)).accepted
    assert ends["open"].push("app:3", image("three", 2_000)).accepted
    assert ends["small"].push("other:1", image("four", 2_000)).verdict.limit_bytes == 1_024  # a scope that comes later
    one = image("one").size + 1_000
    assert ends["untagged go"].usage().stored_bytes == ends[BASE].usage().stored_bytes - one
    assert ends["own policy"].usage().stored_bytes == ends[BASE].usage().stored_bytes - one
    counted = {name: value(runs, name, "collections") for name in (BASE, "weekly", "never", "harbor")}
    assert counted == {BASE: 10, "weekly": 2, "never": 0, "harbor": 0}


def test_all_branches_have_the_same_seed_and_operations():
    asked = []

    def operations(seed):
        asked.append(seed)
        return workloads.ci(seed=seed, start="2026-01-01", days=5)

    base = qs.Registry("gitlab", start="2026-01-01")
    scenarios = {"same": Scenario(), "under": Scenario(profile="gitlab")}
    runs = run_scenarios(base, scenarios, operations=operations, seed=7)
    assert asked == [7]
    assert {registry.engine.seed for registry in runs.registries.values()} == {7}
    assert base.engine.seed is None
    same = compare(runs).query("scenario != 'as it is'")
    assert (same["difference"] == 0).all()
    again = run_scenarios(
        base, {"same": Scenario(), "under": Scenario(profile="gitlab")}, operations=operations, seed=7
    )
    pd.testing.assert_frame_equal(runs.usage, again.usage)


def test_what_comes_after_the_end_does_not_happen(stream):
    base = qs.Registry("acr-premium", start="2026-01-01")
    runs = run_scenarios(base, {}, operations=stream, until="2026-01-08")
    registry = runs.registries[BASE]
    assert registry.now == base.now + WEEK
    assert registry.events()["time"].max() <= pd.Timestamp("2026-01-08", tz="UTC")
    assert runs.usage["at"].max() == pd.Timestamp("2026-01-08", tz="UTC")


# The frame


def read(frame, scenario, figure, at):
    """Return what a frame says of a time: the last row not after it."""
    part = frame[(frame["scenario"] == scenario) & (frame["figure"] == figure) & (frame["at"] <= at)]
    return int(part["bytes"].iloc[-1])


@pytest.mark.parametrize("name", ["acr-premium", "quay", "distribution-2.8", "harbor"])
def test_the_frame_says_what_usage_says(stream, name):
    """From the middle of a life on, with a display that still has to show what happened before."""
    base = qs.Registry(name, start="2025-12-30")
    base.push("old:1", image("old", 5_000))
    base.advance("2d")
    base.push("old:2", image("late", 7_000))
    base.engine.apply(until=base.now + 1)
    at = [base.now, base.now + 3 * DAY + 5, base.now + 20 * DAY]
    runs = run_scenarios(base, {"under": Scenario(profile="acr-premium")}, operations=stream)
    for scenario, start in ((BASE, base), ("under", base.under("acr-premium"))):
        branch = start.branch()
        player = LoadedTrace(stream, branch.engine).on(branch.engine)
        for time in at:
            player.play(time)
            usage = branch.usage()
            for figure in frames.FIGURES:
                moment = pd.Timestamp(time, unit="us", tz="UTC")
                assert read(runs.usage, scenario, figure, moment) == getattr(usage, f"{figure}_bytes")


def test_a_grid_has_the_same_times_for_all_and_loses_no_peak(stream):
    base = qs.Registry("acr-premium", start="2026-01-01")
    scenarios = {"keep": Scenario(retention=KEEP_3)}
    fine = run_scenarios(base, scenarios, operations=stream).usage
    coarse = run_scenarios(base, scenarios, operations=stream, every="7d").usage
    times = coarse.groupby(["scenario", "figure"], observed=True)["at"].apply(list)
    assert all(part == times.iloc[0] for part in times)
    begin, end = pd.Timestamp(base.now, unit="us", tz="UTC"), pd.Timestamp(int(stream.time[-1]), unit="us", tz="UTC")
    assert times.iloc[0] == [*pd.date_range(begin, end, freq="7D"), end]
    for (scenario, figure), part in coarse.groupby(["scenario", "figure"], observed=True):
        steps = fine[(fine["scenario"] == scenario) & (fine["figure"] == figure)]
        before = pd.Timestamp(0, tz="UTC")
        for row in part.itertuples():
            assert row.bytes == read(fine, scenario, figure, row.at)
            inside = steps[(steps["at"] > before) & (steps["at"] <= row.at)]["bytes"]
            assert row.max_bytes == (inside.max() if len(inside) else row.bytes)
            before = row.at
        assert part["max_bytes"].max() == steps["bytes"].max()
    assert (coarse["max_bytes"] > coarse["bytes"]).any()


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_done_at_the_very_beginning_is_in_every_figure(name):
    """A display without a lag shows it at once, another when its time comes."""
    base = qs.Registry(PROFILES[name], start=START)
    base.push("app:1", image("app", 300))
    base.advance("1d")
    runs = run_scenarios(base, {"more": lambda branch: branch.push("app:2", image("more", 200))}, until="2026-01-09")
    usage = runs.registries["more"].usage()
    end = pd.Timestamp("2026-01-09", tz="UTC")
    assert {figure: read(runs.usage, "more", figure, end) for figure in frames.FIGURES} == {
        figure: getattr(usage, f"{figure}_bytes") for figure in frames.FIGURES
    }


def test_nothing_happens_in_no_time():
    base = qs.Registry("acr-premium", start=START)
    base.push("app:1", image("app"))
    runs = run_scenarios(base, {"gone": lambda branch: branch.delete("app:1")}, until=START)
    assert set(runs.usage["at"]) == {pd.Timestamp(START, tz="UTC")}
    size = base.usage().charged_bytes
    assert value(runs, "gone", "charged_bytes") == 0
    assert value(runs, BASE, "charged_bytes") == value(runs, BASE, "mean_charged_bytes") == size
    assert runs.usage.dtypes.astype(str).tolist() == ["category", "category", "datetime64[us, UTC]", "int64", "int64"]


# Figures


@checked(100)
@given(st.lists(st.tuples(st.integers(1, 10**14), st.integers(0, 2**62)), min_size=1, max_size=9), st.integers(0, 5))
def test_a_mean_is_exact(steps, rest):
    spans, values = (np.array(part, np.int64) for part in zip(*steps, strict=True))
    time = 10**15 + np.concatenate(([0], np.cumsum(spans)[:-1]))
    until = int(time[-1]) + rest
    lengths = [*np.diff(time).tolist(), rest]
    expected = sum(Fraction(v) * s for v, s in zip(values.tolist(), lengths, strict=True))
    found = mean_of_steps(time, values, until)
    assert found == (expected // (until - int(time[0])) if until > time[0] else values[-1])
    large = values.astype(object) * 2**9
    if until > time[0]:
        assert mean_of_steps(time, large, until) == expected * 2**9 // (until - int(time[0]))


def test_the_figures_of_a_small_life():
    """A push that is refused; a deletion, and a sweep five minutes later."""
    base = qs.Registry("acr-premium", start=START, limit=6_000)
    base.push("app:0", image("zero", 5_000))

    def act(branch):
        branch.push("app:1", image("too much", 10_000))
        branch.delete("app:0")

    before = base.usage().charged_bytes
    runs = run_scenarios(base, {"gone": act}, until="2026-01-11")
    expected = {
        "charged_bytes": 0,
        "peak_charged_bytes": 0,
        "mean_charged_bytes": 0,
        "reported_bytes": 0,
        "stored_bytes": 0,
        "peak_stored_bytes": before,
        "mean_stored_bytes": before * 5 // (10 * 24 * 60),
        "logical_bytes": 0,
        "swept_bytes": before,
        "tags": 0,
        "manifests": 0,
        "deleted_manifests": 1,
        "refused_requests": 1,
        "collections": 0,
        "damaged_manifests": 0,
    }
    assert list(expected) == list(UNITS)
    table = compare(runs).query("scenario == 'gone'")
    assert dict(zip(table["figure"], table["value"], strict=True)) == expected
    assert dict(zip(table["figure"], table["base_value"], strict=True))["stored_bytes"] == before
    percent = dict(zip(table["figure"], table["difference_percent"], strict=True))
    assert percent["charged_bytes"] == -100.0
    assert np.isnan(percent["refused_requests"])


def test_what_it_costs_is_the_bill_of_every_step(stream):
    """Each step is billed by itself, exactly, and only the sum is rounded. Usage passes what is included on the way."""
    basic = PROFILES["acr-basic"]
    base = qs.Registry(replace(basic, price=replace(basic.price, included_bytes=100 * 2**20)), start="2026-01-01")
    scenarios = {
        "keep": Scenario(retention=KEEP_3),
        "premium": Scenario(profile="acr-premium"),
        "two regions": Scenario(profile="acr-premium", change=lambda branch: branch.set_replicas(2)),
        "harbor": Scenario(profile="harbor"),
    }
    runs = run_scenarios(base, scenarios, operations=stream, until="2026-03-02")
    table = whatif.costs(runs).set_index("scenario")
    day = 86_400_000_000
    for name, registry in runs.registries.items():
        price = registry.profile.price
        steps = runs.usage.query("scenario == @name and figure == 'charged'")
        at = [*steps["at"].dt.as_unit("us").astype("int64"), qs.parse_time("2026-03-02")]
        spans = [after - before for before, after in pairwise(at)]
        if price is None:
            assert pd.isna(table.loc[name, "cost"])
            continue
        assert sum(spans) == 60 * day
        asked = Fraction(price.fee_per_day) * 60
        for size, span in zip(steps["bytes"].tolist(), spans, strict=True):
            above = max(size - price.included_bytes, 0)
            asked += Fraction(above, price.unit_bytes * price.unit_days) * Fraction(price.amount) * Fraction(span, day)
        copies = 2 if name == "two regions" else 1
        assert table.loc[name, "cost"] == Decimal(round(asked * copies * 10**6)).scaleb(-6)
    assert table["currency"].dropna().unique().tolist() == ["USD"]
    assert table.loc["keep", "difference"] == table.loc["keep", "cost"] - table.loc[BASE, "cost"] < 0
    assert table.loc["two regions", "cost"] == 2 * table.loc["premium", "cost"]
    other = whatif.costs(runs, "harbor").set_index("scenario")
    assert other["base_cost"].isna().all()
    assert other["difference"].isna().all()
    assert other["cost"].notna().sum() == 4
    with pytest.raises(InvalidValue, match="nothing"):
        whatif.costs(runs, "nothing")


def test_a_charge_that_stands_still_costs_what_the_bill_says():
    for name, profile in PROFILES.items():
        if profile.price is None:
            continue
        base = qs.Registry(replace(profile, included=None), start=START)
        base.push("app:1", image("large", 800 * 2**30))
        runs = run_scenarios(base, {}, until="2026-01-31")
        assert whatif.costs(runs)["cost"].tolist() == [base.bill(days=30)], name
        assert base.bill(days=30) > 0


def test_refusals_and_damage_are_counted(stream):
    base = qs.Registry("distribution-2.8", start="2026-01-01")
    runs = run_scenarios(
        base, {"small": Scenario(profile="harbor", limit="200 MiB")}, operations=stream, until="2026-02-01"
    )
    events = runs.registries["small"].events()
    refused = int((events["reason"] == "QUOTA").sum())
    assert value(runs, "small", "refused_requests") == refused > 0
    assert value(runs, "small", "peak_charged_bytes") <= 200 * 2**20 * len(runs.registries["small"].charged_by_scope())


def test_another_base_turns_the_differences_round(stream):
    base = qs.Registry("acr-premium", start="2026-01-01")
    runs = run_scenarios(base, {"keep": Scenario(retention=KEEP_3)}, operations=stream)
    there, back = (compare(runs, name).set_index(["scenario", "figure"]) for name in (BASE, "keep"))
    figure = "charged_bytes"
    assert there.loc[("keep", figure), "difference"] == -back.loc[(BASE, figure), "difference"]
    assert (back.loc["keep"]["difference"] == 0).all()
    assert there["unit"].unique().tolist() == ["bytes", "tags", "manifests", "requests", "runs"]
    with pytest.raises(InvalidValue, match="keep"):
        compare(runs, "nothing")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda base: run_scenarios(base, {}), InvalidValue),
        (lambda base: run_scenarios(base, {BASE: Scenario()}, until="2026-02-01"), InvalidValue),
        (lambda base: run_scenarios(base, {"b": Scenario()}, until="2026-02-01", named="b"), InvalidValue),
        (lambda base: run_scenarios(base, {"three": 3}, until="2026-02-01"), InvalidValue),
        (lambda base: run_scenarios(base, [Scenario()], until="2026-02-01"), InvalidValue),
        (lambda base: run_scenarios(base, {}, until="2025-12-31"), TimeReversed),
        (lambda base: run_scenarios(base, {}, operations=workloads.releases(seed=1, start="2025-01-01")), TimeReversed),
        (lambda base: run_scenarios(base, {}, until="2026-02-01", every="0d"), InvalidValue),
        (lambda base: run_scenarios(base, {}, until="2026-02-01", seed=-1), InvalidValue),
        (lambda base: run_scenarios(base, {"gc": Scenario(gc="default")}, until="2026-02-01"), InvalidValue),
        (lambda base: run_scenarios(base, {"gc": Scenario(gc_every="1d")}, until="2026-02-01"), InvalidValue),
        (lambda base: run_scenarios(base, {"kind": Scenario(profile="acr")}, until="2026-02-01"), qs.UnknownProfile),
        (lambda base: Scenario(gc_first="2026-01-02"), InvalidValue),
        (lambda base: Scenario(retention_every="0s"), InvalidValue),
        (lambda base: Scenario(limit="a lot"), InvalidValue),
        (lambda base: Scenario(retention=3), InvalidValue),
    ],
)
def test_what_makes_no_sense_is_refused(make, error):
    with pytest.raises(error):
        make(qs.Registry("acr-premium", start="2026-01-01"))


def test_whatif_has_its_names():
    assert sorted(whatif.__all__) == ["BASE", "Runs", "Scenario", "compare", "costs", "run_scenarios"]
    assert qs.whatif is whatif


# The real history


def newest_by_pandas(events, count):
    """Return (repository, tag) of the tags that were set last in each repository, from the log alone."""
    moved = events[events["tag"].notna() & events["kind"].isin(["PUSH", "TAG", "UNTAG"])]
    bound = moved.groupby(["repository", "tag", "platform"], observed=True, dropna=False)["bindings"].sum()
    there = bound[bound > 0].reset_index()[["repository", "tag"]].drop_duplicates()
    # When a platform that is still there was set last, not when another one went.
    keys = ["repository", "tag", "platform"]
    last = moved[moved["kind"] != "UNTAG"].groupby(keys, observed=True, dropna=False)["time"].max().reset_index()
    last = last.merge(bound[bound > 0].reset_index()[keys], on=keys)
    at = last.groupby(["repository", "tag"], observed=True)["time"].max().reset_index().merge(there)
    at = at.astype({"repository": "str", "tag": "str"})
    at = at.sort_values(["repository", "time", "tag"], ascending=[True, False, True])
    kept = at.groupby("repository").head(count)
    return set(zip(kept["repository"], kept["tag"], strict=True))


def test_the_real_history_under_other_policies(real_data):
    """The base is the replay; what is kept at each end is what pandas finds in that branch's log."""
    trace = as_trace(real_data / "repo_info")
    start = qs.format_time(int(trace.time[0]))
    scenarios = {
        f"keep {count}": Scenario(retention=qs.RetentionPolicy([qs.KeepNewest(count)]), retention_every="30d")
        for count in (2, 10)
    }
    runs = run_scenarios(qs.Registry("acr-premium", start=start), scenarios, operations=trace, every="30d")
    whole = qs.replay(trace, profile="acr-premium")
    assert runs.registries[BASE].engine.figures() == whole.engine.figures()
    charged = [value(runs, name, "charged_bytes") for name in (BASE, "keep 10", "keep 2")]
    assert charged == sorted(charged, reverse=True)
    for name, count in (("keep 2", 2), ("keep 10", 10), (BASE, 1)):
        registry = runs.registries[name]
        assert registry.recompute() == registry.engine.figures()
        found = registry.select(qs.RetentionPolicy([qs.KeepNewest(count)]))
        values, tags = registry.engine.names.repositories.values, registry.engine.names.tag_names.values
        rows = zip(found.repository[found.kept].tolist(), found.tag_name[found.kept].tolist(), strict=True)
        assert {(values[r], tags[t]) for r, t in rows} == newest_by_pandas(registry.events(), count)
