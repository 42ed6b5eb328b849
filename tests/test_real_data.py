"""The whole way from tables to figures, on the real history and on the hand-made one, against pandas and known numbers.

What is asked of the real history alone needs the `real_data` fixture, and is skipped where they are not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

import quotasim as qs
from quotasim.profiles import PROFILES

from . import plain_gc, real_comparison_table
from .commands import quotasim

FIGURES = ("logical_bytes", "unique_bytes", "exclusive_bytes")
CHARGE = ("logical_bytes", "exclusive_bytes", "attributed_bytes")
UNTAGGED = pytest.mark.parametrize("untagged", ["drop", "keep"])


class Imported:
    """A directory of tables, and the snapshots that ``quotasim import tables`` makes of it, each made once."""

    def __init__(self, tables, room):
        self.tables = tables
        self.room = room
        self.counts = cache(self._counts)
        self.registry = cache(lambda untagged: qs.load(self.snapshot(untagged)))

    def _counts(self, untagged):
        """What the import says that it read."""
        arguments = ("-o", self.room / untagged, "--untagged", untagged, "--profile", "refcount", "--format", "json")
        return self.json("import", "tables", self.tables, *arguments)

    def snapshot(self, untagged):
        self.counts(untagged)
        return self.room / untagged

    @staticmethod
    def json(*arguments):
        result = quotasim(*arguments)
        assert (result.code, result.err) == (0, "")
        return result.json


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    return Imported(real_data / "repo_info", tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module", params=["hand-made", "real"])
def imported(request, root, tmp_path_factory):
    if request.param == "real":
        return request.getfixturevalue("real")
    return Imported(root / "data" / "tables", tmp_path_factory.mktemp("hand-made"))


# -- on either history ---------------------------------------------------------------------------------


def table(directory, name):
    path = directory / f"{name}.parquet"
    return pd.read_parquet(path) if path.exists() else pd.read_csv(directory / f"{name}.csv")


def bound(events):
    """The bindings that are there at the end."""
    last = events.drop_duplicates(["repository", "tag", "platform"], keep="last")
    return last[~last["op"].isin(["delete", "drop_platform"])]


def named(events, by):
    """What each event's repository is called in a grouping."""
    first, rest = events["repository"].str.split("/", n=1).str[0], events["repository"].str.contains("/")
    return {"registry": "", "repository": events["repository"], "namespace": first.where(rest, "library")}[by]


def rows_by_pandas(directory, by, untagged):
    """Logical, unique and exclusive bytes of each row of ``df``: an index's own bytes are unknown, and so nothing."""
    events, size = table(directory, "tag_events"), table(directory, "blobs").set_index("blob_id")["size"]
    if untagged == "drop":
        events = bound(events)
    linked = events.assign(name=named(events, by))[["name", "manifest_id"]].drop_duplicates()
    held = linked.merge(table(directory, "layers")[["manifest_id", "blob_id"]].drop_duplicates())
    once = held[["name", "blob_id"]].drop_duplicates()
    alone = once[~once.duplicated("blob_id", keep=False)]
    sums = [part["blob_id"].map(size).groupby(part["name"]).sum() for part in (held, once, alone)]
    return pd.concat(sums, axis=1, keys=FIGURES).fillna(0).astype("int64").to_dict("index")


@UNTAGGED
@pytest.mark.parametrize("by", ["registry", "namespace", "repository"])
def test_df_is_what_pandas_gives_in_a_few_lines(imported, by, untagged):
    document = imported.json("df", imported.snapshot(untagged), "--by", by, "--format", "json")
    found = {row["name"]: {figure: row[figure] for figure in FIGURES} for row in document["rows"]}
    assert found == rows_by_pandas(imported.tables, by, untagged)
    # Whatever the rows are, what they are given of what they share adds up to what there is.
    assert sum(row["attributed_bytes"] for row in document["rows"]) == document["unique_bytes"]


def charge_by_pandas(directory, by, untagged, profile):
    """Logical, exclusive and attributed bytes of each row of a charge: each layer that is not foreign, in each scope,
    split between the rows that hold it there. Nothing of the imported history lies there loose.
    """
    events, blobs = table(directory, "tag_events"), table(directory, "blobs").set_index("blob_id")
    linked = events if untagged == "keep" else bound(events)
    columns = ["scope", "name", "manifest_id"]
    linked = linked.assign(name=named(linked, by), scope=named(linked, profile.scope.name.lower()))[columns]
    if profile.basis is qs.Basis.TAGGED:
        there = bound(events)
        reached = there.assign(scope=named(there, profile.scope.name.lower()))[["scope", "manifest_id"]]
        linked = linked.merge(reached.drop_duplicates())
    counted = blobs[~blobs["media_type"].str.contains("foreign", na=False)]
    layers = table(directory, "layers")[["manifest_id", "blob_id"]].drop_duplicates()
    held = linked.drop_duplicates().merge(layers).merge(counted[["size"]], left_on="blob_id", right_index=True)
    logical = held.groupby("name")["size"].sum()
    once = held.drop_duplicates(["scope", "name", "blob_id"]).sort_values("name")
    holders = once.groupby(["scope", "blob_id"])["size"]
    count, place = holders.transform("count"), holders.cumcount()
    once = once.assign(
        part=once["size"] // count + (place < once["size"] % count), alone=once["size"].where(count == 1, 0)
    )
    sums = [logical, once.groupby("name")["alone"].sum(), once.groupby("name")["part"].sum()]
    return pd.concat(sums, axis=1, keys=CHARGE).astype("int64").to_dict("index")


@UNTAGGED
@pytest.mark.parametrize("kind", ["acr-standard", "gitlab", "ecr", "harbor", "distribution-2.8"])
@pytest.mark.parametrize("by", ["namespace", "repository"])
def test_what_everybody_pays_is_what_pandas_gives_and_adds_up_to_the_charge(imported, by, kind, untagged):
    profile = PROFILES[kind]
    registry = imported.registry(untagged).under(kind)
    rows = registry.chargeback(by)
    found = {row.name: {figure: getattr(row, figure) for figure in CHARGE} for row in rows}
    nothing = dict.fromkeys(CHARGE, 0)
    expected = charge_by_pandas(imported.tables, by, untagged, profile)
    assert {name: row for name, row in found.items() if row != nothing} == {
        name: row for name, row in expected.items() if row != nothing
    }
    assert sum(row.attributed_bytes for row in rows) == registry.usage().charged_bytes > 0
    if profile.price is not None:
        assert sum(row.cost for row in rows) == registry.bill() > 0


@UNTAGGED
def test_what_was_imported_breaks_no_rule(imported, untagged):
    imported.registry(untagged).check()


# -- on the real one -----------------------------------------------------------------------------------


def test_golden_replay(real):
    golden = (real.tables / "monthly_replay.csv").read_text()
    options = ("--profile", "refcount", "--every", "month", "--format", "csv")
    result = quotasim("simulate", "--trace", real.snapshot("drop"), *options)
    assert (result.code, result.err) == (0, "")
    assert result.out == golden
    lines = golden.splitlines()
    assert (len(lines) - 1, len(lines[0].split(","))) == (29, 13)


def test_the_end_state(real):
    counts = real.counts("drop")
    assert (counts["tags"], counts["indexes"], counts["images"]) == (3_256, 1_008, 3_145)
    assert counts["blobs"] == 9_791 + 3_145 + 1_008  # layers, and the manifests' own bytes
    assert counts["unknown_sizes"] == 3_145 + 1_008
    rows = real.registry("drop").images()
    tagged = rows[rows["tag_count"] > 0]
    assert tagged["tag_count"].sum() == 3_256
    assert tagged.groupby("kind")["manifest"].nunique().to_dict() == {"image": 34, "index": 1_008}
    assert len(rows) == len(tagged)  # every untagged manifest is a child


def test_the_bytes_at_the_end(real):
    document = real.json("df", real.snapshot("drop"), "--format", "json")
    assert document["logical_bytes"] == 635_291_942_921
    for figure in ("unique_bytes", "charged_bytes", "reported_bytes", "stored_bytes"):
        assert document[figure] == 171_655_457_577
    assert document["foreign_bytes"] == 9_454_110_234
    assert document["reclaimable_bytes"] == 0
    blobs = real.registry("drop").blobs()
    assert blobs["foreign"].sum() == 9
    # Where foreign layers are neither charged nor stored.
    document = real.json("df", real.snapshot("drop"), "--profile", "distribution-2.8", "--format", "json")
    assert document["unique_bytes"] == 171_655_457_577
    assert document["charged_bytes"] == document["stored_bytes"] == 162_201_347_343


def test_children_without_a_tag_of_their_own_are_no_garbage(real):
    registry = real.registry("drop")
    keeping = registry.plan_gc(qs.GcPolicy(roots="TAGS"))
    assert (len(keeping.removed), keeping.reclaimable_bytes) == (0, 0)
    # A collector that does not follow an index's children takes every one of them, and only these.
    losing = registry.plan_gc(qs.GcPolicy(roots="TAGS", index_children="direct"))
    assert len({digest for _, digest in losing.removed}) == 3_111


def test_keeping_the_history(real):
    counts = real.counts("keep")
    assert (counts["tags"], counts["indexes"], counts["images"]) == (3_256, 20_687, 66_886)
    assert counts["blobs"] == 150_296 + 66_886 + 20_687  # layers, and the manifests' own bytes
    engine = real.registry("keep").engine
    is_image = engine.content.graph().kind == 0
    link_count = engine.state.read("link_count")[is_image]
    # Where a manifest lies in several repositories it counts once for the registry, and once in each of them.
    assert ((link_count > 0).sum(), (link_count > 1).sum()) == (66_886, 121)
    by_repository = real.json("df", real.snapshot("keep"), "--by", "repository", "--format", "json")
    assert sum(row["logical_bytes"] for row in by_repository["rows"]) > by_repository["logical_bytes"]


def test_the_table_of_all_kinds_is_what_the_real_registry_gives(real, root):
    page = (root / "docs" / "kinds.md").read_text()
    assert real_comparison_table.filled(page, real_comparison_table.text(real.registry("keep"))) == page


def test_the_plan_of_every_kind_is_what_sets_work_out(real):
    """All policies of all kinds, on all that the real history ever pushed: links and blobs that go, to the byte."""
    snapshot = real.snapshot("keep")
    facts, registry = plain_gc.Facts(snapshot), qs.load(snapshot)
    policies = {policy for kind in PROFILES.values() for policy in (kind.gc, *kind.gc_policies.values())}
    plain = {replace(policy, rechecks=False, tagless="walk") for policy in policies}
    assert len(plain) >= 7
    for policy in sorted(plain, key=repr):
        found = registry.plan_gc(policy)
        links, blobs, size = plain_gc.plan(facts, policy, registry.now)
        assert (set(found.links.tolist()), set(found.blobs.tolist()), found.reclaimable_bytes) == (links, blobs, size)
