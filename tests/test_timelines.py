"""The story of docs/timelines.md: its figures are the registry's, its tables and pictures are made by the module."""

from __future__ import annotations

import io
import struct

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from quotasim.profiles import PROFILES

from . import kind_stories as stories

KINDS = sorted(PROFILES)
MIB = 2**20

# The kinds' figures in whole MiB from the two deletions on, hours since the first push, written by hand. An image has
# a base of 160, which all share, and 40 of its own: 2,000 and 560 with all ten there, 200 and 200 with one.
ALL, ONE, NONE = (2000, 560, 560, 560), (200, 200, 200, 200), (0, 0, 0, 0)
ACR = ("acr-basic", "acr-standard", "acr-premium")
EXPECTED = {
    # The charge goes with the manifests; display and disk five minutes later.
    ACR: {"10:00": (200, 200, 560, 560), "10:05": ONE, "682:00": (0, 0, 200, 200), "682:05": NONE},
    # The manifests go at once; the disk, which is what counts, at 02:00.
    "distribution-2.8": {"10:00": (200, 560, 560, 560), "18:00": ONE, "682:00": (0, 200, 200, 200), "690:00": NONE},
    # Only the tags go.
    "distribution-3": {"10:00": ALL, "682:00": ALL},
    # The display still rises for what was pushed the day before; it and the disk follow in a day.
    "ecr": {
        "10:00": (200, 200, 0, 560),
        **{f"{24 + hour}:00": (200, 200, 200 + 40 * hour, 560) for hour in range(10)},
        "34:00": ONE,
        "682:00": (0, 0, 200, 200),
        "706:00": NONE,
    },
    "gar": {
        "10:00": (2000, 560, 0, 560),
        **{f"{24 + hour}:00": (2000, 560, 200 + 40 * hour, 560) for hour in range(10)},
        "682:00": ALL,
    },
    # What tags reach is charged; the display is refreshed every five minutes; manifests and blobs wait a day each.
    "gitlab": {
        "10:00": (2000, 200, 560, 560),
        "10:05": (2000, 200, 200, 560),
        "34:00": (200, 200, 200, 560),
        "58:00": ONE,
        "682:00": (200, 0, 200, 200),
        "682:05": (200, 0, 0, 200),
        "706:00": (0, 0, 0, 200),
        "730:00": NONE,
    },
    # Recounted at once; at 02:00 the blobs have been idle for more than two hours.
    "harbor": {"10:00": (200, 200, 200, 560), "18:00": ONE, "682:00": (0, 0, 0, 200), "690:00": NONE},
    # Two weeks in the time machine.
    "quay": {"10:00": ALL, "346:00": ONE, "682:00": ONE, "1018:00": NONE},
    "refcount": {"10:00": ONE, "682:00": NONE},
    # An hour until the manifests go, and another until their blobs do.
    "zot": {
        "10:00": ALL,
        "11:00": (200, 560, 560, 560),
        "12:00": ONE,
        "682:00": ONE,
        "683:00": (0, 200, 200, 200),
        "684:00": NONE,
    },
}


@pytest.fixture(scope="module")
def told():
    return {kind: rows for kinds, rows in stories.groups().items() for kind in kinds}


def test_kinds_to_which_the_same_happens_are_told_of_together():
    expected = [(kind,) if isinstance(kind, str) else kind for kind in EXPECTED]
    assert list(stories.groups()) == expected
    assert sorted(kind for kinds in expected for kind in kinds) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_each_figure_falls_when_the_kinds_rules_say(told, kind):
    expected = next(
        rows for kinds, rows in EXPECTED.items() if kind in (kinds if isinstance(kinds, tuple) else [kinds])
    )
    found = {
        stories.clock(row.at): tuple(
            size // MIB // 10 * 10 for size in (row.logical, row.charged, row.reported, row.stored)
        )
        for row in told[kind]
        if row.at >= stories.NINE
    }
    assert found == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_pushes_add_the_base_once(told, kind):
    """Logical bytes grow by 200 MiB an hour, stored ones by the 40 that are new."""
    pushed = [row for row in told[kind] if row.cause == "image pushed"]
    assert [stories.clock(row.at) for row in pushed] == [f"{hour}:00" for hour in range(10)]
    assert np.diff([row.logical for row in pushed]).tolist() == [stories.IMAGE] * 9
    assert np.diff([row.stored for row in pushed]).tolist() == [stories.IMAGE - stories.BASE] * 9
    assert pushed[0].logical == pushed[0].stored == stories.IMAGE


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_at_rest_and_as_the_registry_says(told, kind):
    registry = stories.live(kind)
    usage, last = registry.usage(), told[kind][-1]
    assert (usage.logical_bytes, usage.charged_bytes, usage.reported_bytes, usage.stored_bytes) == (
        last.logical,
        last.charged,
        last.reported,
        last.stored,
    )
    assert registry.engine.next_due() is None
    assert usage.reclaimable_bytes == 0
    before_the_tenth = [row for row in told[kind] if row.at < stories.TENTH]
    assert before_the_tenth[-1].at <= stories.NINE + pd.Timedelta(weeks=2)
    registry.check()


@pytest.mark.parametrize("kind", ["acr-premium", "gitlab", "quay", "zot"])
def test_a_preview_would_have_said_the_same(kind, told):
    """What is asked before the deletion of the nine, against what came of it."""
    registry = stories.live_until(kind, stories.NINE)
    promised = registry.preview(delete=list(stories.TAGS[:9])).timeline
    promised = [(row.at, row.charged_bytes, row.reported_bytes, row.stored_bytes) for row in promised]
    after = [row for row in told[kind] if stories.NINE <= row.at < stories.TENTH]
    happened = [(row.at.value // 1000, row.charged, row.reported, row.stored) for row in after]
    assert promised == [row for row, before in zip(happened, [None, *happened], strict=False) if changed(row, before)]


def changed(row, before):
    """Say whether a figure other than the logical one changed."""
    return before is None or row[1:] != before[1:]


def test_causes_lead_back_to_what_a_client_did(told):
    causes = {kind: {row.cause for row in rows if row.at > stories.NINE} for kind, rows in told.items()}
    assert "tags removed (10:00) → manifests collected (34:00) → blobs swept" in causes["gitlab"]
    assert "nightly run → blobs swept" in causes["harbor"] & causes["distribution-2.8"]
    assert "manifests deleted (10:00) → blobs swept; the display follows" in causes["acr-premium"]
    assert causes["distribution-3"] == {"tags removed: no figure moves"}
    assert all("" not in kinds for kinds in causes.values())


# -- the page


def test_the_pages_tables_are_the_modules(root):
    page = (root / "docs/timelines.md").read_text()
    assert stories.filled(page) == page, "python -m tests.kind_stories makes the page anew"


def test_the_table_of_moments_has_every_kind(root):
    lines = (root / "docs/timelines.md").read_text().splitlines()
    assert lines.count("| kind | hour | logical | charged | reported | stored | cause |") == 1
    named = {
        name for line in lines if line.startswith("| `") for name in line.split("|")[1].replace("`", "").split(",")
    }
    assert {name.strip() for name in named} == set(KINDS)


@pytest.mark.parametrize("name", stories.PICTURES)
def test_the_committed_pictures_are_of_this_story_and_small(root, name):
    drawn = io.BytesIO()
    stories.PICTURES[name](drawn)
    drawn.seek(0)
    path = root / "docs/images" / name
    now, committed = (matplotlib.image.imread(file) for file in (drawn, path))
    assert now.shape == committed.shape
    assert np.abs(now - committed).mean() < 0.01
    content = path.read_bytes()
    assert len(content) < 150_000
    assert struct.unpack(">II", content[16:24])[0] <= 800
    assert f"](images/{name})" in (root / "docs/timelines.md").read_text()
