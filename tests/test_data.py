"""The hand-made data: the script writes them, the hash list names them, their replay is derived again."""

from __future__ import annotations

import hashlib
import importlib.util
import sys

import pytest

from .dict_replay import csv_text


@pytest.fixture(scope="module")
def make_tables(root):
    spec = importlib.util.spec_from_file_location("make_tables", root / "data" / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "make_tables", module)
        spec.loader.exec_module(module)
        yield module


def listed_hashes(root):
    lines = (root / "data" / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_the_script_gives_the_committed_files(root, make_tables, tmp_path):
    make_tables.main(tmp_path)
    made = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.glob("*/*.csv")}
    committed = {
        path.relative_to(root / "data").as_posix(): path.read_bytes() for path in root.glob("data/tables*/*.csv")
    }
    committed.pop("tables/monthly_replay.csv")
    assert made == committed
    assert len(made) == 9


def test_the_hash_list_names_every_file_and_its_hash(root):
    found = {
        path.relative_to(root / "data").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.glob("data/tables*/*")
    }
    fitted = root / "quotasim" / "workloads" / "distributions.csv"
    found["../quotasim/workloads/distributions.csv"] = hashlib.sha256(fitted.read_bytes()).hexdigest()
    assert found == listed_hashes(root)


def test_the_expected_replay_is_what_plain_dictionaries_give(root):
    expected = (root / "data" / "tables" / "monthly_replay.csv").read_text()
    assert csv_text(root / "data" / "tables") == expected
    assert expected.count("\n") == 5


def test_plain_dictionaries_give_the_published_replay_of_the_real_history(real_data):
    expected = (real_data / "repo_info" / "monthly_replay.csv").read_text()
    assert csv_text(real_data / "repo_info") == expected
    assert expected.count("\n") == 30


def test_every_digest_is_that_of_a_label(root, make_tables):
    history = make_tables.make_history()
    labels = {f"layer {label}" for label in history.blobs}
    digests = {make_tables.digest_of(label) for label in labels}
    lines = (root / "data" / "tables" / "blobs.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == digests
