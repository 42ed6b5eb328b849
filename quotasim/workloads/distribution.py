"""`Distribution`: what a number is drawn from, as quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue

__all__ = ["Distribution", "Form"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

Form = Literal["linear", "log", "step"]
"""Between two quantiles: a straight line; a straight line of the logarithm, for sizes and times, which differ by orders
of magnitude; or the upper one, for counts."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution given by its quantiles.

    Parameters
    ----------
    probabilities : from 0 (``"step"``: from above 0) to 1, rising.
    values : what the number is at most with that probability; not falling, not negative.
    form : how it goes on between them.

    Raises
    ------
    InvalidValue : the quantiles are none.

    Examples
    --------
    >>> sizes = Distribution((0, 0.5, 1), (100, 10_000, 1_000_000), "log")
    >>> sizes.at(np.array([0.0, 0.25, 0.75])).round().tolist()
    [100.0, 1000.0, 100000.0]
    >>> Distribution.always(3).draw(np.random.default_rng(1), 2).tolist()
    [3.0, 3.0]
    """

    probabilities: tuple[float, ...]
    values: tuple[float, ...]
    form: Form = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", tuple(float(one) for one in self.probabilities))
        object.__setattr__(self, "values", tuple(float(one) for one in self.values))
        if self.form not in ("linear", "log", "step"):
            raise InvalidValue("form", self.form, "linear, log or step")
        steps = np.diff(np.array(self.probabilities))
        first_is_right = bool(self.probabilities) and (
            self.probabilities[0] == 0 if self.form != "step" else 0 < self.probabilities[0] <= 1
        )
        if not first_is_right or self.probabilities[-1] != 1 or not np.all(steps > 0):
            raise InvalidValue("probabilities", self.probabilities, "numbers that rise from 0 to 1")
        values = np.array(self.values)
        if len(values) != len(self.probabilities) or not np.all(np.isfinite(values)) or np.any(np.diff(values) < 0):
            raise InvalidValue("values", self.values, "a finite number for each probability, never falling")
        if values[0] < 0 or (self.form == "log" and values[0] == 0):
            raise InvalidValue("values", self.values, "above 0" if self.form == "log" else "0 or more")

    @classmethod
    def always(cls, value: float) -> Distribution:
        """Return the distribution of one value."""
        return cls((1.0,), (value,), "step")

    @classmethod
    def between(cls, least: float, most: float, form: Form = "log") -> Distribution:
        """Return the one that is even between two values, or between their logarithms."""
        return cls((0.0, 1.0), (least, most), form)

    @classmethod
    def of(cls, sample: npt.ArrayLike, form: Form = "log", points: int = 101) -> Distribution:
        """Return the distribution of a sample: of a ``"step"`` every value, else as many quantiles as ``points``.

        Raises
        ------
        InvalidValue : the sample is empty.

        Examples
        --------
        >>> Distribution.of([1, 1, 2, 7], "step")
        Distribution(probabilities=(0.5, 0.75, 1.0), values=(1.0, 2.0, 7.0), form='step')
        """
        values = np.sort(np.asarray(sample, np.float64))
        if not values.size:
            raise InvalidValue("sample", sample, "at least one number")
        if form == "step":
            found, count = np.unique(values, return_counts=True)
            return cls(tuple((np.cumsum(count) / values.size).tolist()), tuple(found.tolist()), form)
        # Ends are where quantiles change most.
        probabilities = (1 - np.cos(np.linspace(0, np.pi, points))) / 2
        return cls(tuple(probabilities.tolist()), tuple(np.quantile(values, probabilities).tolist()), form)

    @property
    def mean(self) -> float:
        """The mean of what is drawn."""
        if self.form == "step":
            return float(np.dot(np.diff(self.probabilities, prepend=0.0), self.values))
        return float(self.at((np.arange(4096) + 0.5) / 4096).mean())

    def at(self, probability: Floats) -> Floats:
        """Return the values that the number stays at or below with these probabilities, float64[n]."""
        if self.form == "step":
            place = np.searchsorted(np.array(self.probabilities), probability)
            return np.array(self.values)[np.minimum(place, len(self.values) - 1)]
        if self.form == "log":
            return np.asarray(np.exp(np.interp(probability, self.probabilities, np.log(self.values))))
        return np.asarray(np.interp(probability, self.probabilities, self.values))

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw independently, float64[count]."""
        return self.at(rng.random(count))

    def spread(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw one value from each of ``count`` parts of equal probability, in any order: as near to the distribution
        as that many values can be.
        """
        return self.at((rng.permutation(count) + rng.random(count)) / max(count, 1))

    def whole(self, rng: np.random.Generator, count: int, least: int = 0) -> npt.NDArray[np.int64]:
        """:meth:`spread`, rounded to whole numbers of at least ``least``, int64[count]."""
        return np.maximum(np.rint(self.spread(rng, count)).astype(np.int64), least)
