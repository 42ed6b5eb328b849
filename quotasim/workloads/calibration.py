"""`Calibration`: distributions fitted to a real history, and the table file that has them."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.importers.trace_table import TraceTable
from quotasim.workloads.distribution import Distribution, Form
from quotasim.workloads.measure import ALL_MONTHS, Measures, measure
from quotasim.workloads.parameters import share

__all__ = ["SHARING_CLASSES", "Calibration", "fit"]

SHARING_CLASSES: Final = (1, 2, 5, 20)
"""Layers that one image has; two; three to five; up to twenty; and more. How large they are differs."""

_FITTED: Final = Path(__file__).parent / "distributions.csv"
_COLUMNS: Final = ("distribution", "form", "probability", "value")
_SIZES: Final = "layer_size_{}"
_SHARES: Final = ("unchanged", "kept")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What :func:`quotasim.workloads.hub_like` is to be like.

    Parameters
    ----------
    layers : distinct layers of an image.
    sharing : images that have a layer.
    layer_size : bytes of a layer, for each of `SHARING_CLASSES` and what is above them.
    image_size : bytes of an image's distinct layers.
    new_share : bytes of layers that a push brings, to all bytes of its layers, where it brings a layer at all.
    unchanged : part of the pushes that bring none.
    repush_gap : seconds between two pushes of a tag.
    pushes_per_tag : how often a tag is pushed.
    images_per_push : images that a repository gets at a time.
    tag_lifetime : seconds from a tag's first push to its removal, for tags that are removed.
    kept : part of the tags that are never removed.

    Raises
    ------
    InvalidValue : there is not a distribution of layer sizes for each class, or a part is not within 0 and 1.
    """

    layers: Distribution
    sharing: Distribution
    layer_size: tuple[Distribution, ...]
    image_size: Distribution
    new_share: Distribution
    unchanged: float
    repush_gap: Distribution
    pushes_per_tag: Distribution
    images_per_push: Distribution
    tag_lifetime: Distribution
    kept: float

    def __post_init__(self) -> None:
        if len(self.layer_size) != len(SHARING_CLASSES) + 1:
            raise InvalidValue("layer_size", len(self.layer_size), f"{len(SHARING_CLASSES) + 1} distributions")
        for name in _SHARES:
            share(name, getattr(self, name))
        for name in ("layers", "sharing", "pushes_per_tag", "images_per_push"):
            if getattr(self, name).values[0] < 1:
                raise InvalidValue(name, getattr(self, name), "a Distribution of numbers of at least 1")
        if self.new_share.values[-1] > 1:
            raise InvalidValue("new_share", self.new_share, "a Distribution of numbers from 0 to 1")

    @classmethod
    def fitted(cls) -> Calibration:
        """Return the one that was fitted to the Docker official images of 2016 to 2018; see docs/workloads.md.

        Examples
        --------
        >>> Calibration.fitted().layers.at(np.array([0.5])).tolist()
        [9.0]
        """
        return _fitted()

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read what :meth:`write` wrote.

        Raises
        ------
        InvalidValue : the file is not such a table.
        """
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        if not rows or tuple(rows[0]) != _COLUMNS:
            raise InvalidValue("path", str(path), f"a table with the columns {', '.join(_COLUMNS)}")
        found: dict[str, list[list[str]]] = {}
        for row in rows[1:]:
            if len(row) != len(_COLUMNS):
                raise InvalidValue("path", str(path), f"a table with {len(_COLUMNS)} cells in each row")
            found.setdefault(row[0], []).append(row)
        wanted = {name for name, _ in _named(None)}
        if set(found) != wanted:
            raise InvalidValue("path", str(path), f"a table of {', '.join(sorted(wanted))}")
        read = {name: _distribution(name, part) for name, part in found.items()}
        sizes = tuple(read.pop(_SIZES.format(number)) for number in range(len(SHARING_CLASSES) + 1))
        shares = {name: read.pop(name).values[0] for name in _SHARES}
        return cls(layer_size=sizes, **shares, **read)  # type: ignore[arg-type]  # names were checked above

    def write(self, path: Path) -> None:
        """Write the quantiles as a table, a row each; equal calibrations give equal bytes."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for name, distribution in _named(self):
                for probability, value in zip(distribution.probabilities, distribution.values, strict=True):
                    writer.writerow((name, distribution.form, f"{probability:.12g}", f"{value:.12g}"))


def fit(
    trace: TraceTable, *, months: Collection[int] = ALL_MONTHS, only: npt.NDArray[np.bool_] | None = None
) -> Calibration:
    """Fit distributions to a history.

    Parameters
    ----------
    trace, months, only : as of :func:`quotasim.workloads.measure`.

    Raises
    ------
    InvalidValue : the history has too little to fit to: no tag that was pushed twice, or none that was removed.
    """
    return fit_measures(measure(trace, months=months, only=only))


def fit_measures(found: Measures) -> Calibration:
    """Fit distributions to a history that was measured."""
    group = np.searchsorted(SHARING_CLASSES, found.sharing)
    # Where a class has no layer, all sizes stand for it.
    sizes = [found.layer_size[group == one] for one in range(len(SHARING_CLASSES) + 1)]
    changes = found.new_share[found.new_share > 0]
    return Calibration(
        layers=Distribution.of(found.layers, "step"),
        sharing=Distribution.of(found.sharing, "step"),
        layer_size=tuple(Distribution.of(np.maximum(one if one.size else found.layer_size, 1)) for one in sizes),
        image_size=Distribution.of(np.maximum(found.image_size, 1)),
        new_share=Distribution.of(changes if changes.size else [1.0], "linear"),
        unchanged=found.unchanged,
        repush_gap=Distribution.of(np.maximum(found.repush_gap, 1.0)),
        pushes_per_tag=Distribution.of(found.pushes_per_tag, "step"),
        images_per_push=Distribution.of(found.images_per_push, "step"),
        tag_lifetime=Distribution.of(np.maximum(found.tag_lifetime, 1.0)),
        kept=found.kept,
    )


@cache
def _fitted() -> Calibration:
    return Calibration.read(_FITTED)


def _named(calibration: Calibration | None) -> Iterable[tuple[str, Distribution]]:
    """Return every distribution with its name in the table; of no calibration the names are what matters."""
    nothing = Distribution.always(0)
    for field in fields(Calibration):
        value = None if calibration is None else getattr(calibration, field.name)
        if field.name == "layer_size":
            sizes = value or (nothing,) * (len(SHARING_CLASSES) + 1)
            yield from ((_SIZES.format(number), one) for number, one in enumerate(sizes))
        elif field.name in _SHARES:
            yield field.name, Distribution.always(value or 0)
        else:
            yield field.name, value or nothing


def _distribution(name: str, rows: list[list[str]]) -> Distribution:
    """Return a distribution from its rows."""
    forms = {row[1] for row in rows}
    try:
        numbers = [(float(row[2]), float(row[3])) for row in rows]
    except ValueError:
        raise InvalidValue(name, rows, "numbers") from None
    if len(forms) != 1:
        raise InvalidValue(name, sorted(forms), "one form")
    form: Form = forms.pop()  # type: ignore[assignment]  # Distribution checks it
    return Distribution(tuple(one for one, _ in numbers), tuple(value for _, value in numbers), form)
