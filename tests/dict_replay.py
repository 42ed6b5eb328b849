"""The monthly replay of ``tag_events``, with plain dictionaries: slow and obviously right.

It shares no code with the package, and is what ``monthly_replay.csv`` is compared with. Run it on a
directory to print that table: ``python tests/dict_replay.py data/tables``.

The key of a binding is (repository, tag, platform). For each ``scan_commit`` first all binds are done, then
all unbinds. A manifest is live while it has a binding; a blob is live while a live manifest names it.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

COLUMNS = (
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
)


def read_rows(directory: Path, table: str) -> list[dict[str, Any]]:
    """Rows of a table, whole numbers as int and times as text."""
    path = directory / f"{table}.parquet"
    if path.exists():
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        for row in rows:
            if "observed_at" in row:
                row["observed_at"] = row["observed_at"].isoformat()
        return rows
    with (directory / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in ("blob_id", "size", "manifest_id", "prev_manifest_id", "position"):
            if column in row:
                row[column] = int(row[column]) if row[column] else None
    return rows


class Replay:
    """Counts of a registry that collects at once."""

    def __init__(self, directory: Path) -> None:
        self.size = {row["blob_id"]: row["size"] or 0 for row in read_rows(directory, "blobs")}
        self.blobs: dict[int, set[int]] = defaultdict(set)
        for row in read_rows(directory, "layers"):
            self.blobs[row["manifest_id"]].add(row["blob_id"])
        self.keys: dict[tuple[str, str, str], int] = {}
        self.bindings: dict[int, int] = defaultdict(int)
        self.holders: dict[int, int] = defaultdict(int)
        self.ever: set[int] = set()
        self.month: dict[str, int] = defaultdict(int)

    def bind(self, manifest: int) -> None:
        """One more binding of a manifest."""
        self.bindings[manifest] += 1
        if self.bindings[manifest] == 1:
            self.month["manifest_pushes"] += 1
            for blob in self.blobs[manifest]:
                self.ever.add(blob)
                self.holders[blob] += 1
                if self.holders[blob] == 1:
                    self.month["bytes_uploaded_new"] += self.size[blob]

    def unbind(self, manifest: int) -> None:
        """One binding of a manifest less."""
        self.bindings[manifest] -= 1
        assert self.bindings[manifest] >= 0
        if self.bindings[manifest] == 0:
            self.month["manifests_orphaned"] += 1
            for blob in self.blobs[manifest]:
                self.holders[blob] -= 1
                if self.holders[blob] == 0:
                    self.month["bytes_freed_by_refcount"] += self.size[blob]

    def apply(self, rows: list[dict[str, Any]]) -> None:
        """One batch."""
        for row in rows:
            self.month["tag_ops"] += 1
            key = (row["repository"], row["tag"], row["platform"])
            if row["op"] in ("create", "add_platform", "update"):
                self.keys[key] = row["manifest_id"]
            else:
                del self.keys[key]
        for row in rows:
            if row["op"] in ("create", "add_platform", "update"):
                self.bind(row["manifest_id"])
        for row in rows:
            if row["op"] == "update":
                self.unbind(row["prev_manifest_id"])
            elif row["op"] in ("delete", "drop_platform"):
                self.unbind(row["manifest_id"])

    def figures(self, month: str) -> dict[str, Any]:
        """The row of a month that is over."""
        live = [manifest for manifest, count in self.bindings.items() if count > 0]
        blobs = set().union(*(self.blobs[manifest] for manifest in live))
        logical = sum(self.size[blob] for manifest in live for blob in self.blobs[manifest])
        unique = sum(self.size[blob] for blob in blobs)
        row = {
            "month": month,
            "live_tag_bindings": len(self.keys),
            "live_manifests": len(live),
            "live_blobs": len(blobs),
            "logical_bytes": logical,
            "live_unique_bytes": unique,
            "ever_unique_bytes": sum(self.size[blob] for blob in self.ever),
            "dedup_ratio": round(logical / unique, 4),
        }
        flows = {column: self.month[column] for column in COLUMNS[len(row) :]}
        self.month.clear()
        return row | flows


def monthly_replay(directory: Path) -> Iterator[dict[str, Any]]:
    """The rows of ``monthly_replay.csv``."""
    replay = Replay(directory)
    events = read_rows(directory, "tag_events")
    for month, of_month in groupby(events, key=lambda row: row["observed_at"][:7]):
        for _, batch in groupby(of_month, key=lambda row: row["scan_commit"]):
            replay.apply(list(batch))
        yield replay.figures(month)


def csv_text(directory: Path) -> str:
    """``monthly_replay.csv`` as text."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(str(row[column]) for column in COLUMNS) for row in monthly_replay(directory)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(csv_text(Path(sys.argv[1])))
