"""A snapshot is the registry: it says the same, goes on the same way, and is whole or is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

import quotasim as qs
from quotasim import snapshot
from quotasim.checks import find_damage
from quotasim.errors import SnapshotError
from quotasim.registry import load
from quotasim.snapshot.columns import Labels
from quotasim.snapshot.tables import TABLES

from .programs import THINGS, every_kind, programs, run
from .strategies import PROFILES, START, checked

HELD = "sha256:" + "1" * 64


def content(directory: Path) -> dict[str, bytes]:
    """Return a snapshot's files, but for the one that says when it was saved."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.name != "saved_at.txt"}


def assert_same(one: qs.Registry, other: qs.Registry) -> None:
    """Compare all that two registries say."""
    assert one.now == other.now
    assert one.version == other.version
    assert one.profile == other.profile
    assert one.usage() == other.usage()
    assert one.engine.figures() == other.engine.figures()
    assert one.charged_by_scope() == other.charged_by_scope()
    assert one.engine.ledger.limits() == other.engine.ledger.limits()
    assert one.df("image") == other.df("image")
    assert one.engine.next_due() == other.engine.next_due()
    for frame in ("events", "images", "blobs", "repositories"):
        pd.testing.assert_frame_equal(getattr(one, frame)(), getattr(other, frame)())


@pytest.fixture(scope="module")
def full() -> qs.Registry:
    """A registry with something in almost every table."""
    registry = qs.Registry(PROFILES["tagged-namespace"], start=START, limit="1 GB")
    every_kind(registry)
    registry.push("late:1", qs.Image([qs.Blob("sha256:" + "2" * 64, 5)]))
    return registry


@pytest.fixture
def saved(full, tmp_path) -> Path:
    full.save(tmp_path / "snapshot")
    return tmp_path / "snapshot"


# -- the same ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
def test_a_loaded_registry_goes_on_as_the_saved_one_would(name, tmp_path_factory):
    @checked(8)
    @given(programs, programs)
    def goes_on(before, after):
        directory = tmp_path_factory.mktemp("life")
        registry = qs.Registry(PROFILES[name], start=START)
        run(registry, before)
        registry.save(directory / "one")
        loaded = load(directory / "one")
        assert find_damage(loaded.engine) == []
        assert_same(registry, loaded)
        assert run(registry, after) == run(loaded, after)
        assert find_damage(loaded.engine) == []
        assert_same(registry, loaded)
        registry.save(directory / "two")
        loaded.save(directory / "three")
        assert content(directory / "two") == content(directory / "three")
        shutil.rmtree(directory)

    goes_on()


@pytest.mark.parametrize("name", PROFILES)
def test_every_kind_of_thing_comes_back(name, tmp_path):
    registry = qs.Registry(PROFILES[name], start=START)
    every_kind(registry)
    registry.save(tmp_path / "one")
    loaded = load(tmp_path / "one")
    assert_same(registry, loaded)
    assert find_damage(loaded.engine) == []
    loaded.save(tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    for going_on in (registry, loaded):
        going_on.advance("3d")
    assert_same(registry, loaded)


def test_the_fixture_reaches_every_table(saved):
    rows = snapshot.describe(saved).rows
    assert {name for name, count in rows.items() if not count} == {"late_children"}


def test_an_index_that_was_known_before_its_child_stays_so(tmp_path):
    image = qs.Image([qs.Blob(HELD, 70)])
    listed = qs.Index([qs.Descriptor(image.digest, image.size, image.media_type)])
    registry = qs.Registry(PROFILES["tagged-namespace"], start=START)
    registry.push("app:1", listed)
    registry.push("web:1", image)
    registry.save(tmp_path / "one")
    loaded = load(tmp_path / "one")
    assert snapshot.describe(tmp_path / "one").rows["late_children"] == 1
    for going_on in (registry, loaded):
        going_on.push(f"app@{image.digest}", image)
    assert_same(registry, loaded)
    assert find_damage(loaded.engine) == []


def test_an_index_whose_child_becomes_known_later_counts_it(tmp_path):
    image = qs.Image([qs.Blob(HELD, 70)])
    registry = qs.Registry(PROFILES["tagged-namespace"], start=START)
    registry.push("app:1", qs.Index([qs.Descriptor(image.digest, image.size, image.media_type)]))
    registry.save(tmp_path / "one")
    loaded = load(tmp_path / "one")
    for going_on in (registry, loaded):
        going_on.push(f"app@{image.digest}", image)
        going_on.untag("app:1")
    assert_same(registry, loaded)
    assert find_damage(loaded.engine) == []


def test_an_empty_registry_comes_back(tmp_path):
    registry = qs.Registry("acr-premium", start=START)
    registry.save(tmp_path / "one")
    assert_same(registry, load(tmp_path / "one"))


def test_a_branch_is_saved_as_it_is_and_not_as_its_parent(tmp_path):
    registry = qs.Registry("refcount", start=START)
    registry.push("app:1", THINGS[0])
    branch = registry.branch()
    branch.untag("app:1")
    registry.push("app:2", THINGS[1])
    branch.save(tmp_path / "branch")
    loaded = load(tmp_path / "branch")
    assert_same(branch, loaded)
    assert loaded.usage().unique_bytes == 0


def test_limits_set_for_one_scope_come_back(tmp_path):
    registry = qs.Registry(PROFILES["tagged-namespace"], start=START)
    registry.push("team/app:1", THINGS[0])
    registry.engine.ledger.set_limit(0, 2**70)
    registry.push("app:1", THINGS[0])
    registry.engine.ledger.set_limit(1, None)
    registry.save(tmp_path / "one")
    assert load(tmp_path / "one").engine.ledger.limits() == [2**70, None]


def test_a_profile_of_ones_own_comes_back_with_its_sources(tmp_path):
    profile = replace(
        PROFILES["acr-premium"],
        name="mine",
        limit=2**80,
        untagged_after=7,
        gc=qs.GcPolicy(roots="TAGS", grace=5),
    )
    qs.Registry(profile, start=START).save(tmp_path / "one")
    found = load(tmp_path / "one").profile
    assert found == profile
    assert found.sources == profile.sources
    assert isinstance(found.scope, qs.Scope)
    assert isinstance(found.gc, qs.GcPolicy)


def test_totals_beyond_63_bits_come_back(tmp_path):
    registry = qs.Registry("refcount", start=START)
    for digit in "abc":
        registry.push(f"app:{digit}", qs.Image([qs.Blob(f"sha256:{digit * 64}", 2**62)]))
    registry.save(tmp_path / "one")
    loaded = load(tmp_path / "one")
    assert loaded.usage().charged_bytes > 3 * 2**62
    assert_same(registry, loaded)
    assert pq.read_table(tmp_path / "one" / "scopes.parquet")["charged_bytes"].to_pylist() == [
        registry.usage().charged_bytes
    ]


# -- the files -----------------------------------------------------------------------------------------


def test_two_savings_are_equal_byte_for_byte(full, tmp_path):
    full.save(tmp_path / "one")
    full.save(tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_equal_lives_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        registry = qs.Registry("acr-premium", start=START)
        every_kind(registry)
        registry.save(tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_the_tables_are_plain_parquet_and_join_by_their_ids(full, saved):
    blobs = pd.read_parquet(saved / "blobs.parquet")
    descriptors = pd.read_parquet(saved / "descriptors.parquet")
    manifests = pd.read_parquet(saved / "manifests.parquet")
    layers = descriptors[descriptors["role"] == "layer"].merge(blobs, on="blob_id")
    image = next(thing for thing in THINGS if [blob.size for blob in thing.layers] == [100, 100, 1])
    row = manifests.merge(blobs, on="blob_id").set_index("digest").loc[image.digest, "manifest_id"]
    mine = layers[layers["manifest_id"] == row]
    assert sorted(zip(mine["size"], mine["times"], strict=True)) == [(1, 1), (100, 2)]
    assert blobs["size"].isna().sum() == 1
    assert blobs["digest"].str.startswith("sha512:").sum() == 1
    events = pd.read_parquet(saved / "events.parquet")
    assert events["unique_bytes"].sum() == full.usage().unique_bytes
    assert str(events["time"].dtype) == "datetime64[us, UTC]"
    pulled = pd.read_parquet(saved / "links.parquet")["pulled_at"]
    assert pulled.notna().sum() == 1


def test_the_header_says_what_it_is(full, tmp_path):
    snapshot.save(full.engine, tmp_path / "one", seed=7, provenance={"source": "tests"})
    header = snapshot.describe(tmp_path / "one")
    plain = json.loads((tmp_path / "one" / "snapshot.json").read_text())
    assert (header.schema_version, header.seed, header.provenance) == (3, 7, {"source": "tests"})
    assert header.tool_version == qs.__version__
    assert plain["profile"]["basis"] == "TAGGED"
    assert plain["now"] == full.now
    assert plain["as_of"] == qs.format_time(full.now)
    assert set(plain["rows"]) == set(TABLES)
    for name, count in plain["rows"].items():
        assert pq.read_metadata(tmp_path / "one" / f"{name}.parquet").num_rows == count


def test_the_hash_is_of_the_content_and_not_of_where_it_came_from(full, tmp_path):
    snapshot.save(full.engine, tmp_path / "one", provenance={"source": "here"})
    snapshot.save(full.engine, tmp_path / "two", provenance={"source": "there"})
    branch = full.branch()
    branch.advance("1us")
    branch.save(tmp_path / "three")
    hashes = [snapshot.describe(tmp_path / name).content_hash for name in ("one", "two", "three")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_labels_are_the_same_however_they_were_numbered():
    one = Labels.of(np.array([2, -1, 0, 2], np.int32), ["b", "unused", "a"])
    other = Labels.of(np.array([0, -1, 1, 0], np.int32), ["a", "b"])
    assert one.values == other.values == ["a", "b"]
    assert one.codes.tolist() == other.codes.tolist() == [0, -1, 1, 0]


# -- whole or not at all -------------------------------------------------------------------------------


def test_a_failure_while_writing_leaves_nothing(full, tmp_path):
    def fail(path: Path) -> None:
        path.write_text("half of i")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot.save(full.engine, tmp_path / "one", attach={"trace.parquet": fail})
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_replacing_leaves_the_old_one(full, saved, monkeypatch):
    before = content(saved)
    rename = snapshot.os.rename

    def fail(source, target):
        if str(source).endswith(".partial"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(snapshot.os, "rename", fail)
    with pytest.raises(SnapshotError, match="No space left"):
        full.save(saved, overwrite=True)
    assert content(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["snapshot"]


def test_a_disk_that_refuses_is_a_snapshot_error(full, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot.pq, "write_table", fail)
    with pytest.raises(SnapshotError, match="No space left"):
        full.save(tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_attached_files_are_part_of_the_whole(full, tmp_path):
    snapshot.save(full.engine, tmp_path / "one", attach={"notes.txt": lambda path: path.write_text("mine")})
    assert (tmp_path / "one" / "notes.txt").read_text() == "mine"
    assert_same(full, load(tmp_path / "one"))


def test_nothing_is_overwritten_unless_asked_for(full, saved):
    before = content(saved)
    with pytest.raises(SnapshotError, match="there is one already"):
        qs.Registry("refcount", start=START).save(saved)
    assert content(saved) == before
    other = qs.Registry("refcount", start=START)
    other.save(saved, overwrite=True)
    assert_same(other, load(saved))
    assert [path.name for path in saved.parent.iterdir()] == ["snapshot"]


def test_only_a_snapshot_can_be_overwritten(full, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(SnapshotError, match="no snapshot"):
        full.save(tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(SnapshotError, match="a file is in its place"):
        full.save(tmp_path / "home" / "thesis.txt", overwrite=True)
    (tmp_path / "empty").mkdir()
    full.save(tmp_path / "empty")
    assert_same(full, load(tmp_path / "empty"))


def test_a_missing_parent_is_named(full, tmp_path):
    with pytest.raises(SnapshotError, match="no directory"):
        full.save(tmp_path / "a" / "b")


# -- damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*(f"{table}.parquet" for table in TABLES), "snapshot.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "other"])
def test_a_damaged_file_is_named(saved, name, damage):
    file = saved / name
    if damage == "missing":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_bytes(b"\x00\xff" * 500)
    with pytest.raises(SnapshotError) as caught:
        load(saved)
    assert caught.value.path == str(file)


@pytest.mark.parametrize("table", ["blobs", "descriptors", "events", "tags", "scopes"])
def test_no_flipped_byte_passes_unnoticed(full, saved, table):
    file = saved / f"{table}.parquet"
    whole = file.read_bytes()
    refused = 0
    for place in range(4, len(whole), max(1, len(whole) // 150)):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        file.write_bytes(changed)
        try:
            loaded = load(saved)
        except SnapshotError:
            refused += 1
        else:  # a byte that says nothing of the content, such as the name of the writing library
            assert loaded.engine.figures() == full.engine.figures()
            pd.testing.assert_frame_equal(loaded.events(), full.events())
    assert refused > 50


def rewrite(saved: Path, table: str, change) -> None:
    """Change a table by a function of it, and keep the row count of the header right."""
    file = saved / f"{table}.parquet"
    changed = change(pq.read_table(file))
    pq.write_table(changed, file)
    header = json.loads((saved / "snapshot.json").read_text())
    header["rows"][table] = changed.num_rows
    (saved / "snapshot.json").write_text(json.dumps(header))


def set_cell(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    """Change one cell."""
    values = table[name].to_pylist()
    values[row] = value
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def another(value: object) -> object:
    """Return a value of the same type that is not this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return value + 1 if isinstance(value, int | Decimal) else 3


@pytest.mark.parametrize("table", [name for name in TABLES if name != "late_children"])
def test_a_changed_cell_is_noticed_by_the_hash(saved, table):
    name = TABLES[table][-1].name
    rewrite(saved, table, lambda arrow: set_cell(arrow, name, 0, another(arrow[name][0].as_py())))
    with pytest.raises(SnapshotError, match="hash"):
        load(saved)


def rehash(saved: Path) -> None:
    """Give a changed snapshot the hash of its content: from here on only the checks of the content can refuse it."""
    header = snapshot.describe(saved)
    tables = {name: snapshot._read_table(saved / f"{name}.parquet", name, header.rows[name]) for name in TABLES}
    plain = json.loads((saved / "snapshot.json").read_text())
    plain["content_hash"] = snapshot._content_hash(header, tables)
    (saved / "snapshot.json").write_text(json.dumps(plain))


WRONG_CELLS = {
    "an id out of range": ("descriptors", "blob_id", 0, 10**6, "names row 1000000 of blobs"),
    "a negative id": ("descriptors", "blob_id", 0, -1, "names row -1 of blobs"),
    "a link out of range": ("tags", "link_id", 0, 10**6, "names row 1000000 of links"),
    "an event out of range": ("links", "link_event", 0, 10**6, "names row 1000000 of events"),
    "rows that are not numbered": ("blobs", "blob_id", 0, 1, "does not number the rows"),
    "manifests out of order": ("descriptors", "manifest_id", 0, 3, "not in the order"),
    "listed less than once": ("descriptors", "times", 0, 0, "below 1"),
    "bytes that do not add up": ("blobs", "size", 0, 12345, "logical_bytes"),
    "a strange role": ("descriptors", "role", 0, "lid", "'lid'"),
    "a strange event": ("events", "kind", 0, "EXPLODE", "'EXPLODE'"),
    "foreign that is not": ("blobs", "foreign", 0, True, "foreign"),
    "a scope of another name": ("scopes", "name", 0, "nobody", "names are not those"),
    "a repository twice": ("repositories", "name", 0, "web", "occurs twice"),
}


@pytest.mark.parametrize("case", WRONG_CELLS)
def test_contradictions_are_refused_even_with_a_right_hash(saved, case):
    table, name, row, value, reason = WRONG_CELLS[case]
    rewrite(saved, table, lambda arrow: set_cell(arrow, name, row, value))
    rehash(saved)
    with pytest.raises(SnapshotError, match=reason):
        load(saved)


@pytest.mark.parametrize(
    ("table", "columns"),
    [("blobs", ["digest"]), ("manifests", ["blob_id"]), ("links", ["repository_id", "manifest_id"])],
)
def test_what_occurs_twice_is_refused(saved, table, columns):
    for name in columns:
        rewrite(saved, table, lambda arrow, name=name: set_cell(arrow, name, 0, arrow[name][1].as_py()))
    rehash(saved)
    with pytest.raises(SnapshotError, match=rf"{table}\.parquet"):
        load(saved)


WRONG_TABLES = {
    "no column": (lambda arrow: arrow.drop_columns(["size"]), "no column 'size'"),
    "another type": (
        lambda arrow: arrow.set_column(2, "size", arrow["size"].cast(pa.float64())),
        "has type double, not int64",
    ),
    "a null": (lambda arrow: set_cell(arrow, "holders", 0, None), "1 nulls"),
    "no digest": (lambda arrow: set_cell(arrow, "digest", 2, "sha256:77"), "row 2, column 'digest'"),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_wrong_columns_are_named(saved, case):
    change, reason = WRONG_TABLES[case]
    rewrite(saved, "blobs", change)
    with pytest.raises(SnapshotError, match=reason) as caught:
        load(saved)
    assert caught.value.path == str(saved / "blobs.parquet")


def test_a_row_too_few_is_noticed(saved):
    file = saved / "events.parquet"
    pq.write_table(pq.read_table(file)[:-1], file)
    with pytest.raises(SnapshotError, match=r"events\.parquet.*rows, and snapshot\.json says"):
        load(saved)


HEADERS = {
    "a later schema": ({"schema_version": 99, "tool_version": "9.0"}, "reads up to 3.*'9.0'"),
    "an earlier schema": ({"schema_version": 1}, "reads 3: make it anew"),
    "no schema": ({"schema_version": None}, "no schema_version"),
    "text for a number": ({"now": "today"}, "now"),
    "another time": ({"now": 1}, "hash"),
    "another hash": ({"content_hash": "sha256:0"}, "hash"),
    "other counters": ({"settled_events": 3}, "hash"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_wrong_header_is_refused(saved, case):
    change, reason = HEADERS[case]
    plain = json.loads((saved / "snapshot.json").read_text())
    (saved / "snapshot.json").write_text(json.dumps({**plain, **change}))
    with pytest.raises(SnapshotError, match=reason):
        load(saved)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("basis", "HEARSAY", "HEARSAY"),
        ("sweep_after", -1, "sweep_after"),
        ("collection", "sometimes", "not valid"),
        ("colour", "red", "unknown fields: colour"),
    ],
)
def test_a_wrong_profile_is_refused(saved, field, value, reason):
    plain = json.loads((saved / "snapshot.json").read_text())
    plain["profile"][field] = value
    (saved / "snapshot.json").write_text(json.dumps(plain))
    rehash(saved)
    with pytest.raises(SnapshotError, match=reason):
        load(saved)


def test_totals_that_are_missing_are_named(saved):
    plain = json.loads((saved / "snapshot.json").read_text())
    del plain["totals"]["links"]
    (saved / "snapshot.json").write_text(json.dumps(plain))
    rehash(saved)
    with pytest.raises(SnapshotError, match="'links'"):
        load(saved)


def test_what_is_no_snapshot_says_so(tmp_path):
    with pytest.raises(SnapshotError, match="no such directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(SnapshotError, match="no snapshot"):
        load(tmp_path)
