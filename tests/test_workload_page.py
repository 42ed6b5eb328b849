"""docs/workloads.md and its picture are made by tests/workload_page.py; reports and pictures of distributions."""

from __future__ import annotations

import io
import struct

import matplotlib.image
import numpy as np
import pytest

from quotasim import frames, plots, workloads
from quotasim.errors import InvalidValue
from quotasim.workloads import Calibration, Distribution, measure, report
from quotasim.workloads.measure import MEASURES
from quotasim.workloads.report import samples_of

from . import workload_page as page


@pytest.fixture(scope="module")
def stream():
    return workloads.hub_like(manifests=2_000, seed=1)


@pytest.fixture(scope="module")
def halves(real_data):
    return page.halves(real_data / "repo_info")


def test_the_page_is_what_generators_make():
    text = page.PAGE.read_text()
    assert page.filled(text, None) == text
    assert all(f"| `{name}` |" in text for name in workloads.GENERATORS)


def test_the_page_says_what_the_real_history_shows(halves):
    text = page.PAGE.read_text()
    assert page.filled(text, halves) == text


def test_the_picture_is_of_that_history_and_small(halves):
    drawn = io.BytesIO()
    page.draw(halves, drawn)
    drawn.seek(0)
    now, committed = (matplotlib.image.imread(file) for file in (drawn, page.PICTURE))
    assert now.shape == committed.shape
    assert np.abs(now - committed).mean() < 0.01
    content = page.PICTURE.read_bytes()
    assert len(content) < 150_000
    assert struct.unpack(">II", content[16:24])[0] <= 800
    assert f"](images/{page.PICTURE.name})" in page.PAGE.read_text()


def test_a_report_sets_a_stream_beside_the_table(stream):
    shares = np.array([0.1, 0.5, 0.9])
    frame = report(stream, shares=shares)
    assert frame.columns.tolist() == ["measure", "share", "generated", "real"]
    assert frame["measure"].cat.categories.tolist() == list(MEASURES)
    assert frame["share"].tolist() == shares.tolist() * 4
    found, real = measure(stream), Calibration.fitted()
    for name in MEASURES:
        part = frame[frame["measure"] == name]
        assert part["generated"].tolist() == np.quantile(getattr(found, name), shares, method="inverted_cdf").tolist()
    layers = frame[frame["measure"] == "layers"]
    assert layers["real"].tolist() == real.layers.at(shares).tolist()


def test_a_report_of_a_history_against_itself_has_no_difference(stream):
    frame = report(stream, measure(stream), shares=np.linspace(0, 1, 11))
    assert frame["generated"].equals(frame["real"])


@pytest.mark.parametrize("shares", [[-0.1], [1.5], [[0.5]]])
def test_shares_that_are_none_are_refused(stream, shares):
    with pytest.raises(InvalidValue, match=r"^shares must be"):
        report(stream, shares=shares)


def test_numbers_that_stand_for_a_calibration_are_distributed_like_it():
    from dataclasses import replace

    step = Distribution.always
    sizes = tuple(step(10.0**power) for power in range(5))
    sharing = Distribution((0.5, 0.75, 1), (1, 3, 100), "step")
    given = replace(Calibration.fitted(), layer_size=sizes, sharing=sharing, unchanged=0.25, new_share=step(0.5))
    samples = samples_of(given)
    for name, expected in (
        ("layer_size", {1: 0.5, 100: 0.25, 10_000: 0.25}),
        ("new_share", {0: 0.25, 0.5: 0.75}),
        ("sharing", {1: 0.5, 3: 0.25, 100: 0.25}),
    ):
        values, counts = np.unique(samples[name], return_counts=True)
        assert dict(zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True)) == expected


def test_a_picture_of_distributions_has_a_line_for_each_history(stream):
    frame = report(stream, shares=np.linspace(0, 1, 101))
    axes = plots.distributions(frame)
    assert [ax.get_xlabel() for ax in axes] == [
        "layers of an image",
        "size of a layer",
        "images that have a layer",
        "new bytes of a push, part of its image",
    ]
    for ax, name in zip(axes, MEASURES, strict=True):
        lines = {line.get_label(): line for line in ax.get_lines()}
        assert list(lines) == ["generated", "real"]
        part = frame[frame["measure"] == name]
        assert lines["generated"].get_xdata().tolist() == part["generated"].tolist()
        assert lines["real"].get_ydata().tolist() == (100 * part["share"]).tolist()
        assert lines["generated"].get_zorder() > lines["real"].get_zorder()


def test_a_picture_may_have_other_measures_and_axes():
    shares = np.array([0.5, 1.0])
    frame = frames.quantiles({"real": {"seconds": np.array([1.0, 5.0])}}, shares)
    _, (ax,) = plots.new_figure()
    assert plots.distributions(frame, [ax]) == [ax]
    assert ax.get_xlabel() == "seconds"
    with pytest.raises(InvalidValue, match=r"^axes must be"):
        plots.distributions(frame, [ax, ax])
    many = {str(number): {"seconds": np.array([1.0])} for number in range(5)}
    with pytest.raises(InvalidValue, match=r"^frame must be"):
        plots.distributions(frames.quantiles(many, shares))


def test_a_frame_of_no_history_is_empty():
    frame = frames.quantiles({}, np.array([0.5]))
    assert frame.columns.tolist() == ["measure", "share"]
    assert len(frame) == 0
