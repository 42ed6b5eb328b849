"""The demo's two stories: what they say is so, and the picture shows it."""

from __future__ import annotations

import gzip
import io
import random
import struct

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

import quotasim as qs
from quotasim import demo, frames, plots
from quotasim.workloads.quota_check import EMPTY_LAYER, random_layer_bytes

from .commands import quotasim

LAG = 5 * 60 * 10**6
STEP_KEYS = ["at", "minute", "event", "charged_bytes", "reported_bytes", "stored_bytes"]


@pytest.fixture(scope="module")
def told():
    return demo.stories()


def by_minute(story):
    return {step.minute: step.usage for step in story.steps}


# -- the layer that does not compress ------------------------------------------------------------------


@pytest.mark.parametrize("size", [2**20, 2**22 + 7])
def test_the_size_of_a_random_layer_is_what_gzip_makes_of_stored_blocks(size):
    content = random.Random(size).randbytes(size)
    header = b"h" * 512
    tar = header + content + bytes(-size % 512) + bytes(1024)
    assert len(gzip.compress(tar, compresslevel=0)) == random_layer_bytes(size)


def test_a_random_layer_of_one_gib_is_larger_than_one_gib():
    tar = 2**30 + 3 * 512
    blocks, rest = divmod(tar, 65_535)
    assert random_layer_bytes(2**30) == tar + 5 * (blocks + (rest > 0)) + 18 == 1_073_825_303


def test_the_empty_layer_is_the_one_half_the_world_shares():
    assert EMPTY_LAYER.size == 32
    assert EMPTY_LAYER.digest == "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"


# -- the stories ---------------------------------------------------------------------------------------


def test_pushing_adds_what_was_not_stored_and_deleting_brings_it_back_after_the_lag(told):
    story = told[0]
    usage = by_minute(story)
    start, pushed, settled, deleted, end = (usage[minute] for minute in (0, 3, 8, 15, 20))
    ((_, why),) = story.answers
    new = [blob for blob in why.blobs if not blob.held_by]
    added = sum(blob.size for blob in new)
    assert sorted(blob.role for blob in new) == ["config", "layer", "manifest"]
    assert added > 2**30
    assert pushed.charged_bytes == pushed.stored_bytes == start.charged_bytes + added
    assert pushed.reported_bytes == start.reported_bytes == start.charged_bytes
    assert settled.reported_bytes == pushed.charged_bytes
    assert deleted.charged_bytes == start.charged_bytes
    assert deleted.reported_bytes == deleted.stored_bytes == pushed.charged_bytes
    assert (end.charged_bytes, end.reported_bytes, end.stored_bytes) == (start.charged_bytes,) * 3
    assert settled.as_of - pushed.as_of == end.as_of - deleted.as_of == story.registry.profile.report_lag == LAG


def test_nine_of_ten_free_next_to_nothing_and_the_tenth_frees_the_base(told):
    story = told[1]
    usage = by_minute(story)
    full, nine, settled, tenth, end = (usage[minute] for minute in (10, 18, 23, 33, 38))
    (_, before), (_, after) = story.answers
    base = before.shared_bytes
    assert full.charged_bytes - nine.charged_bytes < full.charged_bytes // 20
    assert nine.charged_bytes > base > full.charged_bytes * 9 // 10
    assert settled.stored_bytes == settled.reported_bytes == nine.charged_bytes
    assert (tenth.charged_bytes, tenth.stored_bytes) == (0, nine.stored_bytes - full.stored_bytes + nine.charged_bytes)
    assert (end.charged_bytes, end.reported_bytes, end.stored_bytes) == (0, 0, 0)
    holders = {blob.holders for blob in before.blobs if blob.held_by}
    assert holders == {10}
    assert before.blobs[0].held_by == tuple(f"app-{number:02}:v1" for number in range(2, 11))
    assert after.exclusive_bytes == nine.charged_bytes
    assert {blob.held_by for blob in after.blobs} == {()}


def test_the_registries_are_sound(told):
    for story in told:
        story.registry.check()
        assert story.registry.recompute() == story.registry.engine.figures()


# -- what is printed -----------------------------------------------------------------------------------


def test_the_command_prints_both_stories_and_draws_them(tmp_path):
    result = quotasim("demo", "-o", tmp_path / "demo.png")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("1  One image")
    assert "\n2  Ten images" in result.out
    assert "held by 9 others, app-02:v1 to app-10:v1" in result.out
    assert "\x1b" not in result.out
    content = (tmp_path / "demo.png").read_bytes()
    assert struct.unpack(">II", content[16:24]) > (600, 400)
    assert len(content) < 150_000


def test_the_commands_json_has_the_steps_and_the_answers(tmp_path, told):
    document = quotasim("demo", "-o", tmp_path / "demo.png", "--format", "json").json
    assert document["profile"] == "acr-premium"
    assert [list(step) for story in document["stories"] for step in story["steps"]] == [STEP_KEYS] * 12
    assert document["stories"][1]["steps"][-1]["stored_bytes"] == 0
    asked = document["stories"][1]["why"][1]
    assert asked["exclusive_bytes"] == told[1].answers[1][1].exclusive_bytes
    rows = quotasim("demo", "-o", tmp_path / "demo.png", "--format", "csv").out.splitlines()
    assert rows[0] == "story,at,minute,event,charged_bytes,reported_bytes,stored_bytes"
    assert len(rows) == 13


def test_two_drawings_are_the_same_bytes(told):
    one, two = io.BytesIO(), io.BytesIO()
    demo.draw(told, one)
    demo.draw(told, two)
    assert one.getvalue() == two.getvalue()


def test_the_committed_picture_is_of_this_demo(root, told):
    drawn = io.BytesIO()
    demo.draw(told, drawn)
    drawn.seek(0)
    now, committed = (matplotlib.image.imread(file) for file in (drawn, root / "docs" / "images" / "demo.png"))
    assert now.shape == committed.shape
    assert np.abs(now - committed).mean() < 0.01


# -- plots ---------------------------------------------------------------------------------------------


def line_data(ax, label):
    (line,) = [line for line in ax.get_lines() if line.get_label().startswith(label)]
    return line


def test_the_picture_has_steps_units_and_forms_that_do_without_colour(told):
    story = told[0]
    origin = pd.Timestamp(demo.ORIGIN)
    frame = frames.usage_series(story.registry.engine)
    lag = pd.Timedelta(5, "min")
    ax = plots.usage_over_time(frame, lag=lag, since=origin, until=origin + pd.Timedelta(24, "min"), limit=2**31)
    charged, reported = line_data(ax, "charged"), line_data(ax, "reported")
    assert charged.get_drawstyle() == reported.get_drawstyle() == "steps-post"
    assert charged.get_linestyle() != reported.get_linestyle()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (minutes)", "usage (GiB)")
    usage = by_minute(story)
    for line, name, minutes in ((charged, "charged_bytes", (0, 3, 15, 20)), (reported, "reported_bytes", (0, 8, 20))):
        assert line.get_xdata().tolist() == [*minutes, 24]
        expected = [getattr(usage[minute], name) / 2**30 for minute in minutes]
        assert line.get_ydata().tolist() == [*expected, expected[-1]]
    assert line_data(ax, "limit 2.0 GiB").get_ydata()[0] == 2


def test_without_an_origin_the_axis_is_dates_and_nothing_is_reported_without_a_lag(told):
    frame = frames.usage_series(told[1].registry.engine)
    ax = plots.usage_over_time(frame)
    assert ax.get_xlabel() == "time (UTC)"
    assert ax.get_ylabel() == "usage (MiB)"
    assert [line.get_label().split(":")[0] for line in ax.get_lines()] == ["charged"]
    x = line_data(ax, "charged").get_xdata()
    assert (x[0], x[-1]) == (frame["time"].iloc[0].to_datetime64(), frame["time"].iloc[-1].to_datetime64())


def test_an_empty_registry_makes_an_empty_plot():
    frame = frames.usage_series(qs.Registry("refcount").engine)
    ax = plots.usage_over_time(frame, lag=pd.Timedelta(5, "min"))
    assert len(ax.get_lines()) == 0
    assert len(ax.collections) == 0
