"""docs/data-model.md names every table and column that there is."""

from __future__ import annotations

import re

import pytest

from quotasim.importers.trace_events import OP_NAMES, Event
from quotasim.kernels import layout
from quotasim.model.log import DTYPES, EventKind, Reason
from quotasim.model.state import State
from quotasim.snapshot.header import Header
from quotasim.snapshot.tables import TABLES

SECTIONS = {
    "1. Catalogue": {*layout.Graph._fields, *layout.Names._fields},
    "2. State": {*State(0).columns()},
    "3. Ledger": {*layout.Ledger._fields},
    "4. Log": {*DTYPES},
    "5. Snapshot": {
        *TABLES,
        *(field.name for fields in TABLES.values() for field in fields),
        *Header.__struct_fields__,
    },
    "7. Trace": {*Event.__struct_encode_fields__, *OP_NAMES},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_column_is_described(root, section):
    page = (root / "docs" / "data-model.md").read_text()
    text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", text))
    if section.startswith("5"):  # "then the log's columns"
        named |= set(DTYPES)
    assert SECTIONS[section] - named == set()


def test_every_kind_of_event_and_every_reason_is_named(root):
    page = (root / "docs" / "data-model.md").read_text()
    for column, members in (("kind", EventKind), ("reason", Reason)):
        (row,) = re.findall(rf"^\| `{column}` \| uint8\[N\] \| (.+) \|$", page, flags=re.M)
        assert {member.name for member in members} - set(re.findall(r"[A-Z_]{2,}", row)) == set()


def test_the_cursor_is_as_long_as_the_page_says(root):
    page = (root / "docs" / "data-model.md").read_text()
    assert f"\nint64[{layout.CURSOR_SIZE}], what a kernel must remember" in page
