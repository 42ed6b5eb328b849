"""The four figures over time: what the frame says is what the registry said then, and the plot draws just that."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given

import quotasim as qs
from quotasim import frames, plots

from .programs import programs, run
from .strategies import DAY, MINUTE, PROFILES, START, checked

SAMPLED = (0, MINUTE, 5 * MINUTE, 61 * MINUTE, DAY, 15 * DAY)
"""Pauses after a life, in which displays and collectors go on."""

BEGIN = pd.Timestamp(START, tz="UTC")
DTYPES = {"figure": "category", "at": "datetime64[us, UTC]", "bytes": "int64"}


def figures(registry: qs.Registry) -> tuple[int, ...]:
    """Return what the registry says of the four figures now."""
    usage = registry.usage()
    return tuple(getattr(usage, f"{figure}_bytes") for figure in frames.FIGURES)


def read(frame: pd.DataFrame, at: int) -> tuple[int, ...]:
    """Return what the frame says of the four figures at a time."""
    known = frame[frame["at"] <= pd.Timestamp(at, unit="us", tz="UTC")]
    last = known.groupby("figure", observed=False)["bytes"].last().fillna(0)
    return tuple(int(last[figure]) for figure in frames.FIGURES)


# -- the frame


@pytest.mark.parametrize("name", PROFILES)
def test_it_is_what_the_registry_said_at_every_moment(name):
    @checked(12)
    @given(programs)
    def law(program):
        registry = qs.Registry(PROFILES[name], start=START)
        said = {}
        for step in program:
            run(registry, [step])
            said[registry.now] = figures(registry)  # the last word on a moment is what stays of it
        for pause in SAMPLED:
            registry.advance(timedelta(microseconds=pause))
            said[registry.now] = figures(registry)
        frame = frames.usage_over_time(registry.engine)
        assert {at: read(frame, at) for at in said} == said
        assert frame.dtypes.astype(str).to_dict() == DTYPES
        assert not frame.duplicated(["figure", "at"]).any()
        steps = frame.groupby("figure", observed=True)["bytes"].diff()
        assert not (steps == 0).any()  # a row is a change
        assert frame["at"].max() <= pd.Timestamp(registry.now, unit="us", tz="UTC") or frame.empty

    law()


@pytest.mark.parametrize("kind", ["acr-premium", "gitlab", "ecr", "harbor"])
def test_a_display_has_caught_up_with_what_was_there_before(kind, tmp_path):
    registry = qs.Registry("refcount", start=START)
    registry.push("team/app:1", qs.Image([qs.Blob.synthetic("layer", 1000)]))
    registry.advance("1min")
    told = registry.under(kind)
    assert read(frames.usage_over_time(told.engine), told.now) == figures(told)
    told.push("team/app:2", qs.Image([qs.Blob.synthetic("other", 500)]))
    assert read(frames.usage_over_time(told.engine), told.now) == figures(told)
    told.save(tmp_path / "saved")
    loaded = qs.load(tmp_path / "saved")
    loaded.advance("2d")
    before = frames.usage_over_time(told.engine)
    after = frames.usage_over_time(loaded.engine)
    assert read(after, loaded.now) == figures(loaded)
    assert read(after, told.now) == read(before, told.now)


def test_of_an_empty_registry_it_is_empty_with_the_same_columns():
    frame = frames.usage_over_time(qs.Registry("acr-premium", start=START).engine)
    assert len(frame) == 0
    assert frame.dtypes.astype(str).to_dict() == DTYPES
    assert frame["figure"].cat.categories.tolist() == list(frames.FIGURES)


def test_a_total_past_two_to_the_63_is_exact():
    registry = qs.Registry("refcount", start=START)
    for number in range(3):
        registry.push(f"app:{number}", qs.Image([qs.Blob.synthetic(f"{number}", 2**62)]))
        registry.advance("1h")
    assert read(frames.usage_over_time(registry.engine), registry.now) == figures(registry)
    assert figures(registry)[3] > 3 * 2**62


# -- the plot


@pytest.fixture(scope="module")
def pushed():
    registry = qs.Registry("acr-premium", start=START)
    registry.push("app:1", qs.Image([qs.Blob.synthetic("base", 300 * 2**20), qs.Blob.synthetic("own", 2**20)]))
    registry.advance("2h")
    registry.push("app:2", qs.Image([qs.Blob.synthetic("base", 300 * 2**20), qs.Blob.synthetic("other", 2**20)]))
    registry.advance("2h")
    registry.delete("app:1")
    registry.advance("1h")
    return frames.usage_over_time(registry.engine)


def drawn(ax):
    """Return what is drawn of each line: places and values."""
    lines = {line.get_label().split(":")[0]: line for line in ax.get_lines()}
    return {name: (line.get_xdata().tolist(), line.get_ydata().tolist()) for name, line in lines.items()}


def test_every_figure_is_a_step_line_of_the_frames_own_values(pushed):
    ax = plots.usage(pushed, since=BEGIN, until=BEGIN + pd.Timedelta(hours=5))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (hours)", "usage (MiB)")
    assert {line.get_drawstyle() for line in ax.get_lines()} == {"steps-post"}
    assert [collection.get_label().split(":")[0] for collection in ax.collections] == ["stored"]
    found = drawn(ax)
    assert list(found) == ["logical", "charged", "reported"]
    for name, hours in (("charged", [0, 2, 4]), ("reported", [0, 1 / 12, 2 + 1 / 12, 4 + 1 / 12])):
        values = pushed["bytes"][pushed["figure"] == name].to_numpy() / 2**20
        expected = ([0] if name == "reported" else []) + values.tolist()
        assert found[name] == (pytest.approx([*hours, 5]), [*expected, expected[-1]])


def test_forms_and_lightness_tell_the_figures_apart_without_colour(pushed):
    ax = plots.usage(pushed, limit=2**29)
    styles = [(line.get_linestyle(), line._unscaled_dash_pattern) for line in ax.get_lines()]
    assert len({str(style) for style in styles}) == 4
    assert ax.get_lines()[-1].get_label() == "limit 512.0 MiB"
    assert ax.get_lines()[-1].get_ydata()[0] == 512
    assert ax.get_xlabel() == "time (UTC)"


def test_a_notebooks_width_is_the_default(pushed):
    assert plots.usage(pushed).get_figure().get_figwidth() == 7


def test_dates_have_room():
    registry = qs.Registry("acr-premium", start=START)
    for day in range(29):
        registry.push(f"app:{day}", qs.Image([qs.Blob.synthetic(f"{day}", 1000)]))
        registry.advance("1d")
    ax = plots.usage(frames.usage_over_time(registry.engine))
    ax.get_figure().canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 4
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_marks_of_events_do_not_run_into_each_other(pushed):
    when = {BEGIN: "push app:1", BEGIN + pd.Timedelta("5min"): "shown", BEGIN + pd.Timedelta("4h"): "delete app:1"}
    ax = plots.usage(pushed, since=BEGIN, until=BEGIN + pd.Timedelta(hours=5), events=when)
    assert [text.get_text() for text in ax.texts] == ["push app:1", "\nshown", "delete app:1"]
    figure = ax.get_figure()
    figure.canvas.draw()
    # The second begins a line lower: what is to be seen of it is below the first.
    boxes = [text.get_window_extent() for text in ax.texts]
    assert boxes[0].x1 > boxes[1].x0
    assert boxes[1].y0 < boxes[0].y0 - boxes[0].height / 2
    assert boxes[0].x1 < boxes[2].x0


def test_events_are_marked_on_an_axis_of_dates_too(pushed):
    when = {BEGIN + pd.Timedelta("4h"): "delete app:1", BEGIN: "push app:1"}
    ax = plots.usage(pushed, events=when)
    assert [text.get_text() for text in ax.texts] == ["push app:1", "delete app:1"]  # in order of time


def test_minutes_and_weeks_on_one_axis(pushed):
    deleted = BEGIN + pd.Timedelta(hours=4)
    ax = plots.usage(pushed, since=deleted, until=deleted + pd.Timedelta(weeks=4), scale="log")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "5 min", "1 h", "1 d", "1 w"]
    x, y = drawn(ax)["reported"]
    assert x == pytest.approx([-1, 5, 4 * 7 * 24 * 60])
    assert y[0] > y[1] == y[2]
    x, y = drawn(ax)["charged"]
    assert x[:2] == [-1, 0]  # what was before can be seen
    assert y[0] > y[1]


@pytest.mark.parametrize(("span", "label"), [("3h", "minutes"), ("4D", "hours"), ("5D", "days")])
def test_the_axis_counts_in_what_fits(pushed, span, label):
    ax = plots.usage(pushed, since=BEGIN, until=BEGIN + pd.Timedelta(span))
    assert ax.get_xlabel() == f"time ({label})"


def test_a_figure_that_never_changed_is_nought_and_one_the_frame_does_not_have_is_not_drawn(pushed):
    silent = pushed[pushed["figure"] != "reported"]
    assert set(drawn(plots.usage(silent))["reported"][1]) == {0}
    assert "logical" not in drawn(plots.usage(silent.assign(figure=silent["figure"].astype("str"))[-3:]))


def test_nothing_to_draw_and_nothing_to_count_from(pushed):
    ax = plots.usage(frames.usage_over_time(qs.Registry("gitlab", start=START).engine))
    assert (len(ax.get_lines()), len(ax.collections)) == (0, 0)
    with pytest.raises(qs.InvalidValue, match="count from"):
        plots.usage(pushed, scale="log")
