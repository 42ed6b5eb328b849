"""The pictures of docs/pictures.md can be made by the calls that the page gives, and all of them are on it."""

from __future__ import annotations

import re

import pytest

from quotasim import plots

from . import gallery
from .conftest import ROOT

PAGE = (ROOT / "docs" / "pictures.md").read_text()


@pytest.mark.parametrize("name", gallery.PICTURES)
def test_a_picture_can_be_made_anew(name):
    figure = gallery.PICTURES[name]()
    figure.draw_without_rendering()  # a warning is an error here
    assert figure.get_figwidth() == plots.NOTEBOOK_WIDTH
    drawn = figure.axes[0]
    assert drawn.patches or drawn.lines or drawn.collections
    assert drawn.get_xlabel()


def test_the_page_has_every_picture_and_the_call_that_makes_it():
    shown = re.findall(r"images/picture-(\w+)\.png", PAGE)
    assert shown == list(gallery.PICTURES)
    assert [path.stem for path in sorted(gallery.FOLDER.glob("picture-*.png"))] == sorted(
        f"picture-{name}" for name in gallery.PICTURES
    )
    called = set(re.findall(r"plots\.(\w+)\(", PAGE)) | {"falls"}
    assert called <= set(plots.__all__)
    drawing = {name for name in plots.__all__ if name.islower() and not name.startswith("annotate")}
    assert drawing - called == {"legend", "new_figure", "usage_over_time"}


def test_what_the_page_says_in_numbers():
    teams, runs = gallery.teams(), gallery.runs()
    split = teams.chargeback("namespace")
    charged = teams.usage().charged_bytes
    mib = 2**20
    assert round((sum(row.exclusive_bytes for row in split) - charged) / mib) == -258
    assert round((sum(row.logical_bytes for row in split) - charged) / 2**30, 1) == 3.1
    deleted = teams.under("gitlab").preview(delete=[f"shop/app-{number}:v1" for number in range(1, 5)])
    assert round(deleted.logical_bytes / 2**30, 1) == 1.3
    assert round(deleted.repeated_bytes / mib) == 954
    assert round(deleted.freed_charged_bytes / mib) == 420
    assert round(deleted.freed_stored_bytes / mib) == 162
    ends = runs.usage.query("figure == 'charged'").groupby("scenario", observed=True)["bytes"].last() // 2**30
    assert ends["as it is"] // 10 == 76
    assert runs.registries["limit 500 GiB"].usage().charged_bytes <= 500 * 2**30
