"""One registry under several kinds' rules: every step of every charge, by hand and by law; and the verb."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given

import quotasim as qs
from quotasim import frames, plots, profiles
from quotasim.importers.tables import read_tables
from quotasim.importers.trace_table import trace_from_tables

from .commands import quotasim
from .programs import programs, run
from .strategies import PROFILES, START, checked

KIB = 1024
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
REFCOUNT = profiles.by_name("refcount")
KEEPS = replace(REFCOUNT, name="keeps", collection="manual")


@pytest.fixture
def shared():
    """Two namespaces with one base; an image without a tag, a foreign layer, and an upload that nothing names."""
    registry = qs.Registry(KEEPS)
    base = qs.Blob.synthetic("base", 100 * KIB)
    config = qs.Blob.synthetic("config", 2 * KIB)
    windows = qs.Blob.synthetic("windows", 700 * KIB, FOREIGN)
    registry.push("team-a/web:v1", qs.Image([base, qs.Blob.synthetic("web", 10 * KIB)], config))
    registry.push("team-b/web:v1", qs.Image([base, windows], config))
    old = qs.Image([base, qs.Blob.synthetic("old", 40 * KIB)], config)
    registry.push("team-a/web:old", old)
    registry.untag("team-a/web:old")
    registry.upload("team-a/web", qs.Blob.synthetic("loose", 5 * KIB))
    return registry


def steps(row, figure="charged_bytes"):
    """Return the bytes of the steps to a figure, by the reason's first words."""
    return {" ".join(found.reason.split()[:3]): found.bytes for found in row.differences if found.figure == figure}


def test_each_rule_of_a_kind_is_a_step_with_its_bytes(shared):
    images = shared.images()["name"]
    own = sum(blob.size for name in images for blob in shared.why(name).blobs if blob.role == "manifest")
    kind = replace(
        KEEPS,
        name="narrow",
        scope=qs.Scope.NAMESPACE,
        basis=qs.Basis.TAGGED,
        counts_foreign=False,
        counts_manifests=False,
        counts_config=False,
    )
    plain, narrow = qs.compare(shared, [KEEPS, kind])
    assert (plain.charged_bytes, steps(plain)) == (plain.unique_bytes, {})
    assert steps(narrow) == {
        "foreign layers are": -700 * KIB,
        "the bytes of": -own,
        "configs are not": -2 * KIB,
        "only what a": -40 * KIB,
        "a blob that": 100 * KIB,
    }
    # web and base for team-a, base for team-b
    assert narrow.charged_bytes == (10 + 100 + 100) * KIB


def test_uploads_and_the_disk_are_steps_too(shared):
    linked, disk = qs.compare(
        shared, [replace(KEEPS, name="linked", basis=qs.Basis.LINKED), profiles.by_name("distribution-2.8")]
    )
    assert steps(linked) == {"uploads that no": 5 * KIB}
    assert steps(disk) == {"foreign layers are": -700 * KIB, "everything on the": 5 * KIB}
    assert disk.charged_bytes == disk.stored_bytes == disk.unique_bytes - 700 * KIB + 5 * KIB
    assert steps(disk, "stored_bytes") == {"foreign layers are": -700 * KIB, "on the disk,": 5 * KIB}


def test_a_kind_stores_the_foreign_layers_that_another_left_where_they_are(shared):
    elsewhere = shared.under("acr-premium")
    there, here = qs.compare(elsewhere, ["acr-premium", KEEPS])
    assert here.stored_bytes - there.stored_bytes == here.charged_bytes - there.charged_bytes == 700 * KIB
    assert steps(here, "stored_bytes") == {"on the disk,": 5 * KIB}
    elsewhere.under(KEEPS).check()


def test_what_a_collector_swept_in_spite_of_a_manifest_is_a_step(shared):
    swept = shared.apply(shared.plan_gc(qs.GcPolicy(repositories="WITH_BLOBS"))).freed_stored_bytes
    assert swept == 5 * KIB  # the upload alone
    shared.push("lists:1", qs.Index([]))
    lost = shared.apply(shared.plan_gc(qs.GcPolicy(repositories="WITH_BLOBS"))).freed_stored_bytes
    (row,) = qs.compare(shared, [KEEPS])
    assert steps(row, "stored_bytes") == {"in a manifest": -lost}
    assert row.unique_bytes - lost == row.stored_bytes


@pytest.mark.parametrize("name", PROFILES)
def test_the_steps_add_up_to_the_figures_of_every_kind(name):
    @checked(10)
    @given(programs)
    def law(program):
        registry = qs.Registry(PROFILES[name], start=START)
        run(registry, program)
        for row in qs.compare(registry, list(PROFILES.values())):
            under = registry.under(PROFILES[row.profile])
            assert row.charged_bytes == under.usage().charged_bytes == under.recompute()["charged_bytes"]
            assert row.unique_bytes + sum(steps(row).values()) == row.charged_bytes
            assert row.unique_bytes + sum(steps(row, "stored_bytes").values()) == row.stored_bytes
            assert row.charged_bytes + sum(steps(row, "reported_bytes").values()) == row.reported_bytes
            assert all(found.bytes for found in row.differences)

    law()


def test_a_trace_is_replayed_under_each_kind_with_its_refusals(root):
    trace = trace_from_tables(read_tables(root / "data" / "tables"))
    tight = replace(REFCOUNT, name="tight", limit=2**30)
    free, limited = qs.compare(trace, ["refcount", tight])
    assert (free.refused, free.charged_bytes) == (0, 8_561_398_427)  # as 'simulate' says of the last month
    replayed = qs.replay(trace, profile=tight)
    assert limited.refused == (replayed.events()["kind"] == "REFUSE").sum() > 0
    assert limited.charged_bytes == replayed.usage().charged_bytes <= 2**30


def test_what_is_above_a_limit_is_said(shared):
    (row,) = qs.compare(shared, [replace(KEEPS, name="tight", limit=100 * KIB)])
    assert steps(row, "limit_bytes") == {"above the limit": row.charged_bytes - 100 * KIB}
    assert "refuses pushes" in str(row.differences[-1])
    (row,) = qs.compare(shared, [replace(KEEPS, name="priced", limit=2**40, included=100 * KIB)])
    assert "costs, and refuses nothing" in str(row.differences[-1])


@pytest.mark.parametrize("names", [[], ["refcount", "refcount"]])
def test_kinds_are_given_and_none_twice(shared, names):
    with pytest.raises(qs.InvalidValue, match="none twice"):
        qs.compare(shared, names)


def test_an_unknown_kind_is_named_with_the_nearest(shared):
    with pytest.raises(qs.UnknownProfile, match="acr-premium"):
        qs.compare(shared, ["acr-premum"])


def test_the_frame_has_the_same_types_when_empty(shared):
    full = frames.comparison(qs.compare(shared, ["refcount", "acr-premium"]))
    assert list(full["profile"]) == ["refcount", "acr-premium"]
    assert full["limit_bytes"].isna().tolist() == [True, False]
    assert full["as_of"].iloc[0] == pd.Timestamp(shared.now, unit="us", tz="UTC")
    assert "foreign layers are not charged" in full["differences"].iloc[1]
    pd.testing.assert_series_equal(frames.comparison([]).dtypes, full.dtypes)


def test_the_picture_shows_every_kind_and_a_limit_that_is_near(shared):
    rows = qs.compare(shared, ["refcount", "acr-premium", replace(REFCOUNT, name="tight", limit=100 * KIB)])
    axes = plots.comparison(frames.comparison(rows))
    assert [label.get_text().split("\n")[0] for label in axes.get_yticklabels()] == ["refcount", "acr-premium", "tight"]
    assert axes.get_xlabel() == "usage (KiB); the number is the charge"
    charges = [patch.get_width() * KIB for patch in axes.containers[1]]
    assert charges == pytest.approx([row.charged_bytes for row in rows])
    assert len(axes.collections) == 2  # the display's marks, and the one limit that is near
    assert plots.comparison(frames.comparison([])).containers == []


@pytest.fixture
def snapshot(shared, tmp_path):
    shared.save(tmp_path / "snapshot")
    return tmp_path / "snapshot"


def test_the_verb_prints_what_the_api_says(shared, snapshot):
    printed = quotasim("compare", snapshot, "--profiles", "refcount, acr-premium", "--format", "json").json
    assert (printed["schema_version"], printed["profile"], printed["dedup_scope"]) == (1, None, None)
    assert printed["computed_at"] == qs.format_time(shared.now)
    rows = qs.compare(shared, ["refcount", "acr-premium"])
    for said, row in zip(printed["rows"], rows, strict=True):
        for name in ("profile", "charged_bytes", "reported_bytes", "stored_bytes", "limit_bytes", "unique_bytes"):
            assert said[name] == getattr(row, name)
        assert [found["reason"] for found in said["differences"]] == [found.reason for found in row.differences]


def test_without_names_the_verb_compares_all_kinds(snapshot):
    printed = quotasim("compare", snapshot, "--format", "json").json
    assert [row["profile"] for row in printed["rows"]] == sorted(profiles.PROFILES)


def test_people_get_the_reasons_in_a_table_and_a_picture(snapshot, tmp_path):
    picture = tmp_path / "kinds.png"
    shown = quotasim("compare", snapshot, "--picture", picture)
    assert (shown.code, shown.err) == (0, "")
    assert "-700.0 KiB   foreign layers are not charged" in shown.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    same = quotasim("compare", snapshot, "--profiles", "refcount")
    assert "All of them charge and store each blob of a linked manifest once." not in same.out  # the upload is a reason
    assert "on the disk, and in no manifest" in same.out


def test_a_history_is_compared_too(root):
    rows = quotasim(
        "compare", "--trace", root / "data/tables", "--profiles", "refcount,acr-basic", "--format", "json"
    ).json["rows"]
    assert [row["refused"] for row in rows] == [0, 0]
    assert rows[0]["charged_bytes"] == 8_561_398_427  # as 'simulate' says of the last month
    assert rows[1]["charged_bytes"] != rows[1]["reported_bytes"]  # what happened last is not on the display yet


@pytest.mark.parametrize("arguments", [(), ("snapshot", "--trace", "trace")])
def test_either_a_snapshot_or_a_history(arguments):
    refused = quotasim("compare", *arguments)
    assert refused.code == 2
    assert "SNAPSHOT or --trace" in refused.err


def test_nothing_is_compared_where_the_picture_cannot_be_drawn(snapshot, tmp_path):
    refused = quotasim("compare", snapshot, "--picture", tmp_path / "nowhere" / "kinds.png")
    assert refused.code == 2
    assert "a directory that exists" in refused.err
