"""The command line as users and scripts meet it: keys, formats, exit codes, and what goes to which stream."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

import quotasim as qs
from quotasim import frames
from quotasim.cli import preview as preview_verb
from quotasim.cli.output import Report, Table, emit, printable

from .commands import quotasim
from .trace_lines import push, write_lines

HEADER = ["schema_version", "tool_version", "profile", "dedup_scope", "computed_at"]
ROW = ["name", "logical_bytes", "unique_bytes", "exclusive_bytes", "shared_bytes", "attributed_bytes"]
FIGURES = [
    "logical_bytes",
    "unique_bytes",
    "charged_bytes",
    "reported_bytes",
    "stored_bytes",
    "reclaimable_bytes",
    "limit_bytes",
]
MONTHLY = [
    "month",
    "live_tag_bindings",
    "live_manifests",
    "live_blobs",
    "logical_bytes",
    "live_unique_bytes",
    "ever_unique_bytes",
    "dedup_ratio",
    "manifest_pushes",
    "manifests_orphaned",
    "bytes_uploaded_new",
    "bytes_freed_by_refcount",
    "tag_ops",
]


@pytest.fixture(scope="module")
def snapshot(root, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "snapshot"
    result = quotasim("import", "tables", root / "data" / "tables", "-o", path, "--profile", "acr-premium")
    assert (result.code, result.err) == (0, "")
    return path


def run(*arguments, **environment):
    """Run it as a process of its own."""
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    command = [sys.executable, "-m", "quotasim.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=120, env=env | environment)


# -- starting up ---------------------------------------------------------------------------------------


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom quotasim.cli.__main__ import main\nsys.argv = ['quotasim', '--help']\n"
        "try:\n    main()\nfinally:\n    print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
    modules = set(done.stderr.splitlines())
    assert "typer" in modules
    assert modules & {"pandas", "pyarrow", "matplotlib", "numba", "numpy"} == set()
    assert min(seconds) < 0.5
    verbs = {"bench", "compare", "demo", "generate", "import", "df", "why", "preview", "show-usage", "simulate"}
    assert {line.split()[0] for line in done.stdout.split("Commands:")[1].splitlines() if line} == verbs


@pytest.mark.parametrize(
    "verb",
    [
        ["demo"],
        ["import"],
        ["import", "tables"],
        ["df"],
        ["why"],
        ["preview"],
        ["show-usage"],
        ["compare"],
        ["simulate"],
        ["generate"],
    ],
)
def test_every_verb_has_help(verb):
    result = quotasim(*verb, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Usage: quotasim")


def test_the_version_is_the_projects(root):
    (version,) = re.findall(r'^version = "(.+)"$', (root / "pyproject.toml").read_text(), flags=re.M)
    assert quotasim("--version").out == f"quotasim {version}\n"
    assert qs.__version__ == version


def test_the_package_imports_its_names_when_they_are_used():
    code = "import sys, quotasim\nassert 'numpy' not in sys.modules\nfrom quotasim import *\nRegistry, load, parse_size"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert sorted(qs.__all__) == qs.__all__
    for name in qs.__all__:
        assert getattr(qs, name) is not None
        assert name in dir(qs)
    with pytest.raises(AttributeError, match="'quotasim' has no attribute 'Registri'"):
        _ = qs.Registri


# -- what the verbs say --------------------------------------------------------------------------------


def test_import_says_what_it_read(root, tmp_path):
    result = quotasim("import", "tables", root / "data" / "tables", "-o", tmp_path / "s", "--format", "json")
    document = result.json
    assert list(document)[:5] == HEADER
    assert document["profile"] == "distribution-2.8"
    assert document["dedup_scope"] == "registry"
    loaded = qs.load(tmp_path / "s")
    images = frames.images(loaded.engine)
    assert document["tags"] == images["tag_count"].sum()
    assert document["images"] + document["indexes"] == loaded.engine.figures()["live_manifests"]
    assert document["indexes"] == (images["kind"] == "index").sum() > 0
    assert document["unique_bytes"] == loaded.usage().unique_bytes > 0


def test_keeping_the_history_keeps_more(root, tmp_path):
    sizes = {}
    for untagged in ("drop", "keep"):
        arguments = ("-o", tmp_path / untagged, "--untagged", untagged, "--format", "json")
        sizes[untagged] = quotasim("import", "tables", root / "data" / "tables", *arguments).json["unique_bytes"]
    assert sizes["keep"] > sizes["drop"]


@pytest.mark.parametrize("by", ["registry", "namespace", "repository", "image"])
def test_df_has_the_contracts_keys_and_the_registrys_figures(snapshot, by):
    document = quotasim("df", snapshot, "--by", by, "--format", "json").json
    registry = qs.load(snapshot)
    usage = registry.usage()
    assert list(document)[:5] == HEADER
    assert {key: document[key] for key in FIGURES} == {key: getattr(usage, key) for key in FIGURES}
    assert document["limit_bytes"] == 500 * 2**30
    assert [list(row) for row in document["rows"]] == [ROW] * len(document["rows"])
    assert [row["name"] for row in document["rows"]] == [row.name for row in registry.df(by)]
    assert sum(row["attributed_bytes"] for row in document["rows"]) == usage.unique_bytes
    assert document["computed_at"] == qs.format_time(registry.now)


def test_df_under_another_profile_counts_by_its_rules(snapshot):
    own = quotasim("df", snapshot, "--format", "json").json
    other = quotasim("df", snapshot, "--profile", "refcount", "--format", "json").json
    assert other["profile"] == "refcount"
    assert other["limit_bytes"] is None
    assert other["charged_bytes"] - own["charged_bytes"] == own["foreign_bytes"] > 0


SPLIT_ROW = ["name", "charged_bytes", "cost", "logical_bytes", "exclusive_bytes", "attributed_bytes"]
SPLITS = pytest.mark.parametrize("split", ["attributed", "exclusive", "logical"])


@SPLITS
@pytest.mark.parametrize("profile", ["acr-premium", "ecr", "harbor"])
def test_df_splits_the_charge_and_the_bill(snapshot, split, profile):
    arguments = ("df", snapshot, "--by", "namespace", "--profile", profile)
    document = quotasim(*arguments, "--split", split, "--format", "json").json
    registry = qs.load(snapshot).under(profile)
    usage, expected = registry.usage(), registry.chargeback("namespace")
    assert list(document)[:5] == HEADER
    assert {key: document[key] for key in FIGURES} == {key: getattr(usage, key) for key in FIGURES}
    assert (document["by"], document["split"], document["days"]) == ("namespace", split, 30)
    assert [list(row) for row in document["rows"]] == [SPLIT_ROW] * len(document["rows"])
    assert [row["name"] for row in document["rows"]] == [row.name for row in expected]
    charged = [getattr(row, f"{split}_bytes") for row in expected]
    assert [row["charged_bytes"] for row in document["rows"]] == charged
    assert document["total_bytes"] == sum(charged)
    assert document["difference_bytes"] == sum(charged) - usage.charged_bytes
    people = quotasim(*arguments, "--split", split).out
    meaning = {
        "attributed": "this adds up to the charge",
        "exclusive": f"this leaves {qs.format_bytes(-document['difference_bytes'])} of shared bytes",
        "logical": f"this bills {qs.format_bytes(document['difference_bytes'])} more than is charged",
    }
    assert meaning[split] in people
    assert all(name in people for name in ("team-a", "total", "part", " %"))
    keys = ("currency", "bill", "total_cost", "price_source", "price_read_on")
    if profile == "harbor":
        assert {document[key] for key in keys} | {row["cost"] for row in document["rows"]} == {None}
        assert "has no price" in people
        assert "cost" not in people
    else:
        source = registry.profile.sources["price"]
        assert [document[key] for key in ("price_source", "price_read_on")] == [source.where, source.read_on]
        assert (document["currency"], document["bill"]) == ("USD", str(registry.bill()))
        assert sum(Decimal(row["cost"]) for row in document["rows"]) == Decimal(document["total_cost"])
        assert (document["total_cost"] == document["bill"]) == (document["difference_bytes"] == 0)
        assert f"cost {registry.bill()} USD. The price: {source.where}, read on {source.read_on}." in people
    if split == "attributed":
        assert document["difference_bytes"] == 0
        assert [row["cost"] for row in document["rows"]] == [row.cost and str(row.cost) for row in expected]


def test_every_format_has_the_same_split(snapshot):
    arguments = ("df", snapshot, "--by", "repository", "--split", "logical", "--format")
    rows = quotasim(*arguments, "json").json["rows"]
    assert list(csv.DictReader(io.StringIO(quotasim(*arguments, "csv").out))) == [
        {key: str(value) for key, value in row.items()} for row in rows
    ]
    table = pq.read_table(io.BytesIO(quotasim(*arguments, "parquet").content))
    assert table.to_pylist() == [row | {"cost": Decimal(row["cost"])} for row in rows]
    assert str(table.schema.field("cost").type) == "decimal128(38, 6)"
    assert json.loads(table.schema.metadata[b"quotasim"])["split"] == "logical"


def test_without_a_price_the_costs_are_missing_in_every_format(snapshot):
    arguments = ("df", snapshot, "--split", "exclusive", "--profile", "quay", "--format")
    assert [row["cost"] for row in csv.DictReader(io.StringIO(quotasim(*arguments, "csv").out))] == [""]
    table = pq.read_table(io.BytesIO(quotasim(*arguments, "parquet").content))
    assert table["cost"].to_pylist() == [None]
    assert str(table.schema.field("cost").type) == "decimal128(38, 6)"


def test_people_see_the_largest_part_first_and_what_is_nobodys_last(tmp_path):
    registry = qs.Registry("harbor", start="2026-01-01")
    for name, size in (("a/one:1", 1_000), ("b/two:1", 50_000)):
        registry.push(name, qs.Image([qs.Blob.synthetic(name, size)]))
    registry.upload("a/one", qs.Blob.synthetic("loose", 900_000))
    registry.save(tmp_path / "snapshot")
    lines = quotasim("df", tmp_path / "snapshot", "--by", "namespace", "--split", "attributed").out.splitlines()
    names = [line.split()[0] for line in lines if line.endswith(" %")]
    assert names == ["b", "a", "(unattributed)", "total"]
    whole = quotasim("df", tmp_path / "snapshot", "--split", "attributed").out
    assert "the registry" in whole


def test_an_empty_registry_costs_its_fee(tmp_path):
    qs.Registry("acr-basic", start="2026-01-01").save(tmp_path / "snapshot")
    arguments = ("df", tmp_path / "snapshot", "--by", "image", "--split", "attributed")
    document = quotasim(*arguments, "--format", "json").json
    assert [(row["name"], row["cost"]) for row in document["rows"]] == [("(unattributed)", "5.010000")]
    assert (document["bill"], document["charged_bytes"]) == ("5.010000", 0)
    assert "(unattributed)" in quotasim(*arguments).out


def test_why_has_the_contracts_keys(snapshot):
    document = quotasim("why", snapshot, "team-a/api:v1", "--format", "json").json
    assert list(document)[:5] == HEADER
    keys = {"reference", "manifest", "logical_bytes", "exclusive_bytes", "shared_bytes", "blobs"}
    assert keys <= set(document)
    assert all(list(blob) == ["digest", "size", "role", "holders", "held_by"] for blob in document["blobs"])
    assert document["reference"] == "team-a/api:v1"
    alone = sum(blob["size"] or 0 for blob in document["blobs"] if blob["holders"] == 1)
    assert document["exclusive_bytes"] == alone > 0
    assert all(blob["holders"] == len(blob["held_by"]) + 1 for blob in document["blobs"])
    assert [blob["size"] for blob in document["blobs"] if blob["role"] == "manifest"] == [None]


@pytest.mark.parametrize("untagged", ["drop", "keep"])
def test_import_tables_makes_the_registry_that_the_verb_saves(root, tmp_path, untagged):
    path = tmp_path / "snapshot"
    quotasim("import", "tables", root / "data" / "tables", "-o", path, "--profile", "gitlab", "--untagged", untagged)
    saved = qs.load(path)
    made = qs.import_tables(str(root / "data" / "tables"), profile="gitlab", untagged=untagged)
    assert (made.profile, made.usage()) == (saved.profile, saved.usage())
    assert made.images().equals(saved.images())


def test_preview_has_the_contracts_keys_and_promises_what_delete_does(snapshot):
    document = quotasim("preview", snapshot, "--delete", "team-a/api:v1", "alpine:3.19", "--format", "json").json
    assert list(document)[:5] == HEADER
    assert {"freed_charged_bytes", "freed_stored_bytes", "timeline", "deleted", "hazards"} <= set(document)
    keys = ["at", "charged_bytes", "reported_bytes", "stored_bytes", "cause"]
    assert [list(row) for row in document["timeline"]] == [keys] * len(document["timeline"])
    registry = qs.load(snapshot)
    before = registry.usage()
    removed = registry.delete("team-a/api:v1", "alpine:3.19")
    assert document["deleted"] == list(removed.deleted)
    registry.advance("10min")
    after = registry.usage()
    assert document["freed_charged_bytes"] == before.charged_bytes - after.charged_bytes > 0
    assert document["freed_stored_bytes"] == before.stored_bytes - after.stored_bytes > 0
    stay = sum(document[f"{name}_bytes"] for name in ("repeated", "uncharged", "shared", "kept"))
    assert document["freed_charged_bytes"] == document["logical_bytes"] - stay + document["other_freed_bytes"]
    assert document["shared_bytes"] > 0
    last = document["timeline"][-1]
    assert last["reported_bytes"] == after.reported_bytes
    assert {hazard["kind"] for hazard in document["hazards"]} == {"collateral-tags", "children-left"}


def test_preview_of_a_policy_says_of_every_row_why(snapshot):
    options = ("--keep-newest", "2", "--keep-younger", "60d", "--keep-tags", "v*", "--untagged-after", "1d")
    document = quotasim("preview", snapshot, *options, "--format", "json").json
    rules = [qs.KeepMatching(tags="v*"), qs.KeepNewest(2), qs.KeepYounger("60d")]
    registry = qs.load(snapshot)
    policy = qs.RetentionPolicy(rules, untagged_after="1d")
    promise, selected = registry.preview(policy=policy), registry.select(policy)
    assert document["freed_charged_bytes"] == promise.freed_charged_bytes
    assert document["deleted"] == list(promise.deleted)
    rows = document["selection"]
    assert [list(row) for row in rows] == [["repository", "tag", "manifest", "at", "kept", "reason"]] * len(rows)
    assert len(rows) == selected.repository.size + selected.manifest.size
    assert sum(not row["kept"] and row["tag"] is not None for row in rows) == selected.tags.size > 0
    assert all(row["reason"] for row in rows)
    shown = quotasim("preview", snapshot, *options).out
    gone = sum(not row["kept"] and row["tag"] is None for row in rows)
    assert f"{selected.tags.size} tags and {gone} manifests go." in shown
    nothing = quotasim("preview", snapshot, "--keep-younger", "1000d").out
    assert "0 tags and 0 manifests go" in nothing
    assert "what goes" not in nothing


def test_preview_of_a_deletion_has_no_selection(snapshot):
    assert quotasim("preview", snapshot, "--delete", "alpine:3.19", "--format", "json").json["selection"] is None


def test_references_to_delete_may_follow_each_other_or_each_have_the_option(snapshot):
    one = quotasim("preview", snapshot, "--delete", "team-a/api:v1", "alpine:3.19", "--format", "json")
    two = quotasim("preview", "--delete", "team-a/api:v1", "--delete", "alpine:3.19", snapshot, "--format", "json")
    assert one.code == two.code == 0
    assert one.json["references"] == two.json["references"] == ["team-a/api:v1", "alpine:3.19"]
    assert one.content == two.content


def test_a_long_list_of_what_a_hazard_concerns_is_cut_for_people():
    hazard = qs.Hazard("collateral-tags", "informational", "a@b", tuple("12345"), "all go")
    assert preview_verb._line(hazard).splitlines()[-1].strip() == "and 2 more"


def test_show_usage_has_the_vendors_shape(snapshot):
    document = quotasim("show-usage", snapshot, "--format", "json").json
    assert list(document)[:5] == HEADER
    charged = qs.load(snapshot).usage().reported_bytes
    size = {"name": "Size", "limit": 500 * 2**30, "currentValue": charged, "unit": "Bytes"}
    replicas = {"name": "Geo-replications", "limit": -1, "currentValue": 0, "unit": "Count"}
    assert document["value"] == [size, replicas]


@pytest.mark.parametrize("source", ["tables", "snapshot"])
def test_simulate_gives_the_expected_months(root, snapshot, source):
    path = {"tables": root / "data" / "tables", "snapshot": snapshot}[source]
    result = quotasim("simulate", "--trace", path, "--every", "month", "--format", "csv")
    assert result.out == (root / "data" / "tables" / "monthly_replay.csv").read_text()
    document = quotasim("simulate", "--trace", path, "--format", "json").json
    assert list(document)[:5] == HEADER
    assert [list(row) for row in document["rows"]] == [MONTHLY] * 4
    assert document["profile"] == "refcount"


def test_simulate_gives_days_with_their_extremes(root):
    rows = quotasim("simulate", "--trace", root / "data/tables", "--every", "day", "--format", "json").json["rows"]
    assert [row["day"] for row in rows] == sorted({row["day"] for row in rows})
    assert rows[0]["day"] == "2024-01-03"
    assert all(row["unique_bytes_min"] <= row["unique_bytes"] <= row["unique_bytes_max"] for row in rows)
    assert any(row["unique_bytes_min"] < row["unique_bytes_max"] for row in rows)


def test_a_ratio_without_anything_to_divide_by_is_null(tmp_path):
    untag = {"time": 1, "batch": 1, "op": "untag", "repository": "team/app", "tag": "v1"}
    trace = write_lines(tmp_path / "gone.jsonl.zst", [push(), untag])
    (row,) = quotasim("simulate", "--trace", trace, "--format", "json").json["rows"]
    assert (row["month"], row["logical_bytes"], row["bytes_uploaded_new"]) == ("1970-01", 0, 10)
    assert row["dedup_ratio"] is None
    assert quotasim("simulate", "--trace", trace, "--format", "csv").out.splitlines()[1].split(",")[7] == ""


# -- formats and streams -------------------------------------------------------------------------------


def test_every_format_has_the_same_rows(snapshot, tmp_path):
    rows = quotasim("df", snapshot, "--by", "image", "--format", "json").json["rows"]
    text = quotasim("df", snapshot, "--by", "image", "--format", "csv").out
    assert list(csv.DictReader(io.StringIO(text))) == [{key: str(row[key]) for key in ROW} for row in rows]
    table = pq.read_table(io.BytesIO(quotasim("df", snapshot, "--by", "image", "--format", "parquet").content))
    assert table.to_pylist() == rows
    assert {str(field.type) for field in table.schema} == {"string", "int64"}
    assert json.loads(table.schema.metadata[b"quotasim"])["by"] == "image"
    people = quotasim("df", snapshot, "--by", "image").out
    assert all(row["name"] in people for row in rows)
    assert "GiB" in people


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_the_name_of_the_file_says_the_format(snapshot, tmp_path, form):
    file = tmp_path / f"why.{form}"
    written = quotasim("why", snapshot, "team-a/api:v1", "-o", file)
    assert (written.code, written.content, written.err) == (0, b"", "")
    assert file.read_bytes() == quotasim("why", snapshot, "team-a/api:v1", "--format", form).content
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_table_can_go_to_a_file(snapshot, tmp_path):
    quotasim("df", snapshot, "-o", tmp_path / "df.txt")
    assert (tmp_path / "df.txt").read_text() == quotasim("df", snapshot).out


def test_parquet_is_not_for_terminals(snapshot):
    result = quotasim("df", snapshot, "--format", "parquet", terminal=True)
    assert (result.code, result.content) == (2, b"")
    assert "-o FILE writes parquet" in result.err


def test_columns_past_int64_stay_exact_in_parquet(tmp_path):
    rows = [{"name": "a", "unique_bytes": 2**63}, {"name": "b", "unique_bytes": None}]
    data = Table({"name": "text", "unique_bytes": "bytes"}, rows)
    emit(Report({"rows": rows}, data, []), "parquet", tmp_path / "a.parquet")
    values = pq.read_table(tmp_path / "a.parquet")["unique_bytes"].to_pylist()
    assert values == [2**63, None]


def test_a_terminal_gets_bold_type_unless_no_color_is_set(snapshot, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in quotasim("df", snapshot, "--by", "image", terminal=True).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in quotasim("df", snapshot, "--by", "image", terminal=True).out


def test_a_terminal_breaks_long_names_and_loses_none(snapshot, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    lines = quotasim("why", snapshot, "team-a/api:v1", terminal=True).out.splitlines()
    assert max(len(line) for line in lines) <= 60
    digest = quotasim("why", snapshot, "team-a/api:v1", "--format", "json").json["blobs"][0]["digest"]
    assert digest[-4:] in "".join(lines)


def test_stdout_has_only_the_data_and_stderr_nothing(snapshot):
    done = run("df", snapshot, "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["profile"] == "acr-premium"
    done = run("df", snapshot, FORCE_COLOR="", TERM="xterm")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout


def test_equal_runs_print_equal_bytes(snapshot):
    one, two = (run("df", snapshot, "--by", "image", "--format", "json", PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert one.stdout == two.stdout != b""


def test_control_characters_and_formulas_do_not_come_through(capsysbinary):
    rows = [{"name": "\x1b[2Jweb\u202e", "count": 1}, {"name": "=1+1", "count": -2}]
    report = Report({"rows": rows}, Table({"name": "text", "count": "count"}, rows), ["line\x07\nnext"])
    emit(report, "csv")
    assert capsysbinary.readouterr().out.decode() == "name,count\n\\x1b[2Jweb\\u202e,1\n'=1+1,-2\n"
    report = Report({"rows": rows}, report.data, [report.data, *report.blocks])
    assert emit(report, "table") is None
    shown = capsysbinary.readouterr().out.decode()
    assert "\\x1b[2Jweb\\u202e" in shown
    assert "line\\x07\nnext" in shown
    assert shown.replace("\n", "").isprintable()
    emit(report, "json")
    assert capsysbinary.readouterr().out.isascii()
    assert printable("plain") == "plain"


# -- errors --------------------------------------------------------------------------------------------


def failed(result, code):
    """The message of a command that must fail: on stderr, without a traceback."""
    assert (result.code, result.content) == (code, b"")
    assert "Traceback" not in result.err
    return result.err


def test_an_unknown_reference_brings_the_nearest(snapshot):
    message = failed(quotasim("why", snapshot, "team-a/apy:v1"), 1)
    assert message.startswith("there is no image 'team-a/apy:v1'; the nearest there is: 'team-a/api:v1'")
    failed(quotasim("preview", snapshot, "--delete", "team-a/apy:v1"), 1)


def test_an_unknown_profile_brings_the_nearest(snapshot, root, tmp_path):
    tables = root / "data" / "tables"
    for arguments in (
        ("df", snapshot),
        ("preview", snapshot, "--delete", "team-a/api:v1"),
        ("simulate", "--trace", tables),
        ("import", "tables", tables, "-o", tmp_path / "s"),
    ):
        assert "'acr-premium'" in failed(quotasim(*arguments, "--profile", "acr-premum"), 1)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_snapshot_is_rejected_input(tmp_path):
    for verb in (["df"], ["why"], ["show-usage"], ["preview"]):
        extra = {"why": ["a:b"], "preview": ["--delete", "a:b"]}.get(verb[0], [])
        assert "no such directory" in failed(quotasim(*verb, tmp_path / "nothing", *extra), 3)


def test_broken_tables_are_rejected_with_all_problems_and_nothing_is_written(root, tmp_path):
    (tmp_path / "in").mkdir()
    for source in (root / "data" / "tables").glob("*.csv"):
        text = source.read_text()
        (tmp_path / "in" / source.name).write_text(text.replace("sha256:", "sha257:", 2))
    message = failed(quotasim("import", "tables", tmp_path / "in", "-o", tmp_path / "out"), 3)
    assert message.startswith("the input has")
    assert "blobs.csv, row 0, column 'digest'" in message
    assert "manifests.csv, row 1, column 'manifest_digest'" in message
    assert not (tmp_path / "out").exists()


def test_a_snapshot_is_not_replaced_unasked(root, tmp_path):
    arguments = ("import", "tables", root / "data" / "tables", "-o", tmp_path / "s")
    assert quotasim(*arguments).code == 0
    before = (tmp_path / "s" / "snapshot.json").read_bytes()
    assert "--overwrite replaces it" in failed(quotasim(*arguments, "--untagged", "keep"), 3)
    assert (tmp_path / "s" / "snapshot.json").read_bytes() == before
    assert quotasim(*arguments, "--untagged", "keep", "--overwrite").code == 0
    assert (tmp_path / "s" / "snapshot.json").read_bytes() != before


def test_wrong_usage_is_told_apart(snapshot, root, tmp_path):
    failed(quotasim("df"), 2)
    failed(quotasim("frobnicate"), 2)
    failed(quotasim("df", snapshot, "--by", "layer"), 2)
    failed(quotasim("df", snapshot, "--format", "xml"), 2)
    assert "attributed" in failed(quotasim("df", snapshot, "--split", "equal"), 2)
    failed(quotasim("simulate"), 2)
    failed(quotasim("why", snapshot, "not a reference"), 2)
    assert "--delete REFERENCE" in failed(quotasim("preview", snapshot), 2)
    assert "--delete REFERENCE" in failed(quotasim("preview", snapshot, "--delete", "a:b", "--keep-newest", "1"), 2)
    assert ".jsonl.zst" in failed(quotasim("simulate", "--trace", root / "LICENSE"), 2)
    assert "a directory that exists" in failed(quotasim("df", snapshot, "-o", tmp_path / "no" / "df.json"), 2)
    assert "a directory that exists" in failed(quotasim("demo", "-o", tmp_path / "no" / "demo.png"), 2)


def test_messages_cannot_move_the_cursor(tmp_path):
    message = failed(quotasim("df", tmp_path / "no\x1b[2J"), 3)
    assert "\x1b" not in message


def test_a_file_that_cannot_be_written_is_an_error_and_no_traceback(snapshot, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    message = failed(quotasim("df", snapshot, "-o", tmp_path / "df.json"), 1)
    assert "No space left on device" in message
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_with_130(snapshot, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("quotasim.registry.load", interrupt)
    assert quotasim("df", snapshot).code == 130


def test_progress_is_for_terminals(monkeypatch, snapshot):
    from quotasim.cli import progress

    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.working("counting sheep"):
        progress.note("counted")
    assert "counting sheep" in screen.getvalue()
    assert "counted\n" in screen.getvalue()
    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    with progress.working("counting sheep"):
        progress.note("counted")
    assert quiet.getvalue() == ""
