"""What notebooks need: pictures that follow sliders and menus without running a cell again, and the way to their data.
Needs the extra ``notebook``.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from quotasim.errors import InvalidValue

__all__ = ["REAL_DATA", "Panel", "tables_directory"]

REAL_DATA = "QUOTASIM_REAL_DATA"
"""The environment variable that names the directory of the real registry data, which are not part of the clone."""

_DPI = 100


class Panel:
    """Controls above a picture: whatever a control is set to, what it means is computed and drawn anew.

    Parameters
    ----------
    answer : called with the value of every control, by its name; returns what is shown, by names of its own choice.
    draw : called with what is shown; returns the picture.
    controls : of ipywidgets, each with a ``value``; sliders should have ``continuous_update=False``.

    Attributes
    ----------
    controls : by name. Setting ``panel.controls[name].value`` computes and draws before it returns.
    shown : what ``answer`` returned last.
    picture : the Output widget that holds the picture, and nothing else.

    Raises
    ------
    InvalidValue : there is no control.

    Notes
    -----
    What ``answer`` or ``draw`` raises is raised where a control was set from Python; ``shown`` and the picture stay as
    they were.

    Examples
    --------
    >>> size = ipywidgets.IntSlider(value=2, min=1, max=9, continuous_update=False)
    >>> panel = Panel(lambda size: {"doubled": 2 * size}, lambda shown: Figure(), size=size)
    >>> panel.shown
    {'doubled': 4}
    >>> size.value = 5
    >>> panel.shown, len(panel.picture.outputs)
    ({'doubled': 10}, 1)
    """

    def __init__(
        self,
        answer: Callable[..., Mapping[str, Any]],
        draw: Callable[[Mapping[str, Any]], Figure],
        **controls: Any,
    ) -> None:
        if not controls:
            raise InvalidValue("controls", controls, "at least one control")
        self._answer, self._draw = answer, draw
        self.controls = dict(controls)
        self.shown: Mapping[str, Any] = {}
        self.picture = ipywidgets.Output()
        self.widget = ipywidgets.VBox([*self.controls.values(), self.picture])
        self._update(None)
        for control in self.controls.values():
            control.observe(self._update, names="value")

    def _update(self, _: object) -> None:
        """Compute and draw for the controls as they are."""
        shown = self._answer(**{name: control.value for name, control in self.controls.items()})
        picture = _as_output(self._draw(shown))
        # In one assignment: what shows it replaces the picture, and is never empty in between.
        self.shown, self.picture.outputs = shown, (picture,)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """What IPython asks of a thing that is the last of a cell."""
        return self.widget._repr_mimebundle_(**options)


def _as_output(figure: Figure) -> dict[str, Any]:
    """Return a figure as a notebook's output: made here, so that no kernel's message has to come back first."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    image = base64.b64encode(file.getvalue()).decode("ascii")
    return {"output_type": "display_data", "data": {"image/png": image, "text/plain": repr(figure)}, "metadata": {}}


def tables_directory(*, real: bool = False) -> Path:
    """Return the directory of the tables that a notebook looks at.

    Parameters
    ----------
    real : the Docker official images, where the environment says where they are: ``repo_info`` in the directory that
        :data:`REAL_DATA` names. Otherwise the small tables made by hand, ``data/tables`` of the clone that this
        package lies in.

    Raises
    ------
    InvalidValue : what is named has no ``repo_info``; or the package does not lie in a clone.
    """
    named = os.environ.get(REAL_DATA)
    if real and named:
        tables = Path(named) / "repo_info"
        if not tables.is_dir():
            raise InvalidValue(REAL_DATA, named, "a directory that has repo_info")
        return tables
    package = Path(__file__).resolve().parent
    for above in package.parents:
        if (above / "data" / "tables").is_dir():
            return above / "data" / "tables"
    raise InvalidValue("quotasim", str(package), "a package in a clone of its repository, which has data/tables")
