"""Panels of a notebook: controls that compute and draw before the assignment of their value returns; and its data."""

from __future__ import annotations

import base64
import io

import ipywidgets
import matplotlib.image
import pytest
from matplotlib.figure import Figure

import quotasim.notebook
from quotasim import errors
from quotasim.notebook import REAL_DATA, Panel, tables_directory


def squares(number, sign):
    return {"square": number * number if sign == "+" else -number * number}


def bar(shown):
    figure = Figure(figsize=(3, 2))
    figure.subplots().bar([0], [shown["square"]])
    return figure


@pytest.fixture
def panel():
    number = ipywidgets.IntSlider(value=3, min=0, max=9, continuous_update=False)
    return Panel(squares, bar, number=number, sign=ipywidgets.Dropdown(options=["+", "-"]))


def picture(panel):
    """Return the one picture that is shown."""
    (output,) = panel.picture.outputs
    assert output["output_type"] == "display_data"
    return base64.b64decode(output["data"]["image/png"])


def test_it_begins_with_what_the_controls_say(panel):
    assert panel.shown == {"square": 9}
    assert matplotlib.image.imread(io.BytesIO(picture(panel))).shape == (200, 300, 4)


def test_every_control_computes_and_draws_anew(panel):
    first = picture(panel)
    panel.controls["number"].value = 5
    second = picture(panel)
    assert panel.shown == {"square": 25}
    panel.controls["sign"].value = "-"
    third = picture(panel)
    assert panel.shown == {"square": -25}
    assert len({first, second, third}) == 3
    panel.controls["sign"].value, panel.controls["number"].value = "+", 3
    assert picture(panel) == first


def test_what_a_browser_sends_does_the_same(panel):
    """A slider moved in a browser comes as a message with the widget's new state."""
    panel.controls["number"].set_state({"value": 4})
    assert panel.shown == {"square": 16}


def test_a_fault_is_raised_where_the_control_was_set_and_what_was_shown_stays():
    def fraction(number):
        return {"fraction": 12 // number}

    panel = Panel(fraction, lambda shown: Figure(), number=ipywidgets.IntSlider(value=3, min=0, max=9))
    before = panel.picture.outputs
    with pytest.raises(ZeroDivisionError):
        panel.controls["number"].value = 0
    assert panel.shown == {"fraction": 4}
    assert panel.picture.outputs is before
    panel.controls["number"].value = 4
    assert panel.shown == {"fraction": 3}


def test_it_is_shown_as_its_controls_above_its_picture(panel):
    assert list(panel.widget.children) == [*panel.controls.values(), panel.picture]
    bundle = panel._repr_mimebundle_(include=None, exclude=None)
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.widget.model_id


def test_without_controls_there_is_no_panel():
    with pytest.raises(errors.InvalidValue, match="controls"):
        Panel(squares, bar)


def test_data_are_those_of_the_clone_or_the_real_ones_where_they_are_named(root, tmp_path, monkeypatch):
    monkeypatch.delenv(REAL_DATA, raising=False)
    assert tables_directory() == tables_directory(real=True) == root / "data" / "tables"
    monkeypatch.setenv(REAL_DATA, str(tmp_path))
    with pytest.raises(errors.InvalidValue, match="QUOTASIM_REAL_DATA must be a directory that has repo_info"):
        tables_directory(real=True)
    (tmp_path / "repo_info").mkdir()
    assert tables_directory(real=True) == tmp_path / "repo_info"
    assert tables_directory() == root / "data" / "tables"
    monkeypatch.setattr(quotasim.notebook, "__file__", str(tmp_path / "site-packages" / "quotasim" / "notebook.py"))
    with pytest.raises(errors.InvalidValue, match="in a clone"):
        tables_directory()
