"""When figures come down after a deletion: the frame, and its picture."""

from __future__ import annotations

import pandas as pd
import pytest

import quotasim as qs
from quotasim import frames, plots

SINCE = pd.Timestamp("2026-01-01T12:00", tz="UTC")


def history(**figures):
    """Make a frame of usage from ``(minutes since the deletion, bytes)`` of each figure."""
    rows = [
        (name, SINCE + pd.Timedelta(minutes=minutes), size)
        for name, steps in figures.items()
        for minutes, size in steps
    ]
    frame = pd.DataFrame(rows, columns=["figure", "at", "bytes"])
    return frame.assign(figure=pd.Categorical(frame["figure"], categories=list(frames.FIGURES)))


def of(frame, name):
    """Return one figure's row."""
    return frame.set_index("figure").loc[name]


def test_it_counts_from_the_peak_to_rest():
    """A display that is late still rises after the deletion, and falls in two steps."""
    told = history(charged=[(-60, 900), (0, 100)], reported=[(-50, 500), (10, 900), (20, 400), (30, 100)])
    found = frames.falls({"one": told}, SINCE)
    charged, reported = of(found, "charged"), of(found, "reported")
    assert (charged["peak_bytes"], charged["rest_bytes"], charged["fallen_bytes"]) == (900, 100, 800)
    assert (charged["at"], charged["wait"]) == (SINCE, pd.Timedelta(0))
    assert (reported["peak_bytes"], reported["fallen_bytes"], reported["wait"]) == (900, 800, pd.Timedelta("30min"))


def test_what_stays_or_comes_back_has_not_fallen():
    told = history(charged=[(-60, 900)], stored=[(-60, 900), (5, 100), (10, 900)])
    found = frames.falls({"one": told}, SINCE)
    for name in ("logical", "charged", "reported", "stored"):
        row = of(found, name)
        assert row["fallen_bytes"] == 0
        assert pd.isna(row["at"])
        assert pd.isna(row["wait"])
    assert of(found, "logical")["peak_bytes"] == 0  # it never had any


def test_it_looks_no_further_than_it_is_told():
    told = history(stored=[(-60, 900), (5, 500), (60, 0)])
    end = SINCE + pd.Timedelta(minutes=59)
    assert of(frames.falls({"one": told}, SINCE, end), "stored")["wait"] == pd.Timedelta("5min")
    assert of(frames.falls({"one": told}, SINCE, end + pd.Timedelta("1min")), "stored")["wait"] == pd.Timedelta("1h")
    assert of(frames.falls({"one": told}, SINCE, SINCE), "stored")["fallen_bytes"] == 0


def test_it_is_long_and_in_the_order_given_with_the_same_types_when_empty():
    told = history(stored=[(-60, 2**40), (5, 0)])
    found = frames.falls({"zot": told, "acr-basic": told}, SINCE)
    assert found["history"].tolist() == ["zot"] * 4 + ["acr-basic"] * 4
    assert found["figure"].tolist() == [*frames.FIGURES] * 2
    types = {
        "history": "category",
        "figure": "category",
        "peak_bytes": "int64",
        "rest_bytes": "int64",
        "fallen_bytes": "int64",
        "at": "datetime64[us, UTC]",
        "wait": "timedelta64[us]",
    }
    assert found.dtypes.astype(str).to_dict() == types
    empty = frames.falls({}, SINCE)
    assert empty.empty
    assert empty.dtypes.astype(str).to_dict() == types


@pytest.mark.parametrize(("kind", "minutes"), [("acr-premium", 5), ("ecr", 24 * 60), ("quay", 14 * 24 * 60)])
def test_a_registry_falls_by_what_its_profile_says(kind, minutes):
    registry = qs.Registry(kind, start="2026-01-01")
    registry.push("app:1", qs.Image([qs.Blob.synthetic("layer", 1000)]))
    registry.advance(to=SINCE.isoformat())
    registry.delete("app:1")
    registry.advance("30d")
    stored = of(frames.falls({kind: frames.usage_over_time(registry.engine)}, SINCE), "stored")
    assert stored["wait"] == pd.Timedelta(minutes=minutes)
    assert stored["rest_bytes"] == registry.usage().stored_bytes == 0


# -- the picture


@pytest.fixture
def drawn():
    told = {
        "late": history(charged=[(-60, 9), (0, 0)], reported=[(-60, 9), (5, 0)], stored=[(-60, 9), (1_440, 0)]),
        "never": history(charged=[(-60, 9)], reported=[(-60, 9)], stored=[(-60, 9)]),
    }
    return plots.falls(frames.falls(told, SINCE))


def test_every_figure_is_a_mark_at_its_minute(drawn):
    marks = {one.get_label().split(":")[0]: one.get_offsets() for one in drawn.collections if ":" in one.get_label()}
    assert list(marks) == ["stored", "charged", "reported"]
    assert [marks[name][0].tolist() for name in marks] == [[1_440, 0], [0, 0], [5, 0]]
    # What has not fallen lies at the right of all that has, under a mark that says so.
    never = {tuple(marks[name][1]) for name in marks}
    assert len(never) == 1
    ((place, row),) = never
    assert row == 1
    assert place > 1_440
    texts = {tick: text.get_text() for tick, text in zip(drawn.get_xticks(), drawn.get_xticklabels(), strict=True)}
    assert texts[place] == "not\nat all"
    assert (texts[0], texts[5], texts[1_440]) == ("at once", "5 min", "1 d")


def test_the_first_history_is_at_the_top_and_nothing_is_cut_off(drawn):
    assert [text.get_text() for text in drawn.get_yticklabels()] == ["late", "never"]
    bottom, top = drawn.get_ylim()
    assert bottom > top
    figure = drawn.get_figure()
    figure.canvas.draw()
    frame = figure.bbox
    for text in [*drawn.get_yticklabels(), *drawn.get_xticklabels(), *drawn.get_legend().get_texts()]:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1


def test_forms_tell_the_figures_apart_without_colour(drawn):
    marks = [one for one in drawn.collections if ":" in one.get_label()]
    assert len({one.get_paths()[0].vertices.tobytes() for one in marks}) == 3
    assert len({one.get_sizes()[0] for one in marks}) == 3


def test_with_nothing_to_draw_there_are_no_rows():
    assert list(plots.falls(frames.falls({}, SINCE)).collections) == []
