"""``quotasim generate``: what it writes, and what its settings may be."""

from __future__ import annotations

import re

import pytest

import quotasim as qs
from quotasim import workloads
from quotasim.cli.generate import read_settings
from quotasim.errors import InvalidValue
from quotasim.importers.traces import read_trace
from quotasim.workloads import Calibration, Distribution, Hours

from .commands import quotasim
from .trace_lines import told

SET = ("--set", "services=2", "--set", "days=7")


def test_it_writes_the_stream_that_python_makes(tmp_path):
    path = tmp_path / "ci.parquet"
    done = quotasim("generate", "ci", "-o", path, "--seed", "5", *SET, "--format", "json")
    assert (done.code, done.err) == (0, "")
    stream = workloads.ci(services=2, days=7, seed=5)
    assert told(read_trace(path)) == told(stream)
    found = done.json
    assert [found[key] for key in ("generator", "seed", "trace")] == ["ci", 5, str(path)]
    assert found["operations"] == stream.time.size
    assert found["operations"] == sum(count for key, count in found.items() if key.endswith("_operations"))
    assert found["blob_bytes"] == int(stream.blobs.size.sum())
    assert found["profile"] is None
    again = tmp_path / "again.parquet"
    quotasim("generate", "ci", "-o", again, "--seed", "5", *SET)
    assert again.read_bytes() == path.read_bytes()


def test_the_trace_goes_on_into_other_verbs(tmp_path):
    path = tmp_path / "one.jsonl.zst"
    shown = quotasim("generate", "one_gb", "-o", path)
    assert "one_gb, seed 0, from 2026-01-01T00:00:00Z to 2026-01-01T00:16:00Z" in shown.out
    rows = quotasim("simulate", "--trace", path, "--format", "json").json["rows"]
    assert rows[0]["bytes_uploaded_new"] > 2**30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cii", "-o", "t.parquet"), "NAME must be a generator, such as ci"),
        (("ci", "-o", "t.csv"), "ends in .jsonl.zst or .parquet"),
        (("ci", "-o", "nowhere/t.parquet"), "a directory that exists"),
        (("ci", "-o", "t.parquet", "--set", "servces=2"), "--set must be KEY=VALUE, each key once, such as services"),
        (("ci", "-o", "t.parquet", "--set", "services"), "--set must be KEY=VALUE"),
        (("ci", "-o", "t.parquet", *SET, "--set", "days=8"), "each key once"),
        (("ci", "-o", "t.parquet", "--set", "seed=8"), "--set must be KEY=VALUE"),
        (("ci", "-o", "t.parquet", "--set", "services=many"), "services must be a whole number, not 'many'"),
        (("ci", "-o", "t.parquet", "--set", "services=0"), "services must be a whole number from 1"),
        (("ci", "-o", "t.parquet", "--seed", "-1"), "seed must be"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    refused = quotasim("generate", *arguments)
    assert refused.code == 2
    assert said in re.sub(r"\s+", " ", refused.err)
    assert list(tmp_path.iterdir()) == []


def test_settings_are_read_by_the_types_of_parameters(tmp_path):
    Calibration.fitted().write(tmp_path / "mine.csv")
    for generator, text, value in (
        (workloads.ci, "builds=2.5", 2.5),
        (workloads.ci, "tag_lifetime=3d", "3d"),
        (workloads.ci, "tag_lifetime=none", None),
        (workloads.ci, "floating_tags=no", False),
        (workloads.ci, "hours=7-19", Hours(7, 19)),
        (workloads.ci, "removal=untag", "untag"),
        (workloads.ci, "layer_size=10..1000", Distribution.between(10, 1000)),
        (workloads.ci, "own_layers=0..4", Distribution.between(0, 4, "linear")),
        (workloads.ci, "own_layers=3", Distribution.always(3)),
        (workloads.nightly, "keep=none", None),
        (workloads.nightly, "keep=3", 3),
        (workloads.one_gb, "content=5MiB", "5MiB"),
        (workloads.one_gb, "content=5000", 5000),
        (workloads.multi_arch, "platforms=linux/amd64,linux/arm64", ["linux/amd64", "linux/arm64"]),
        (workloads.hub_like, f"calibration={tmp_path / 'mine.csv'}", Calibration.fitted()),
        (workloads.releases, "start=2031-02-03", "2031-02-03"),
    ):
        assert read_settings(generator, [text]) == {text.partition("=")[0]: value}
    for generator, text, expected in (
        (workloads.ci, "hours=all", "hours as in 8-18 or none"),
        (workloads.ci, "floating_tags=1", "yes or no"),
        (workloads.ci, "layer_size=big", "a number, or two as in 1000..5000"),
        (workloads.ci, "builds=x", "a number"),
        (workloads.nightly, "keep=x", "a whole number or none"),
    ):
        with pytest.raises(InvalidValue, match=expected):
            read_settings(generator, [text])


@pytest.mark.parametrize("name", sorted(workloads.GENERATORS))
def test_every_default_can_be_said(name):
    """No parameter has a type that the command does not read."""
    from inspect import signature

    for parameter in signature(workloads.GENERATORS[name]).parameters.values():
        kinds = {kind.strip() for kind in parameter.annotation.split("|")}
        assert kinds <= {
            "int",
            "float",
            "bool",
            "str",
            "None",
            "datetime",
            "timedelta",
            "Distribution",
            "Hours",
            "Calibration",
            "Removal",
            "Sequence[str]",
        }


def test_the_page_names_every_generator(root):
    page = (root / "docs" / "cli.md").read_text()
    assert all(f"`{name}`" in page for name in workloads.GENERATORS)
    assert qs.workloads is workloads
