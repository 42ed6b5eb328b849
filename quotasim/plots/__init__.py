"""Pictures: frames in, matplotlib Axes out. Binary prefixes, since sizes are binary; units on every axis; colours
that colour-blind people tell apart, and forms that can be told apart in grey.
"""

from quotasim.plots.distributions import distributions
from quotasim.plots.kinds import comparison
from quotasim.plots.marks import annotate_delay, annotate_events, annotate_place
from quotasim.plots.style import NOTEBOOK_WIDTH, new_figure
from quotasim.plots.usage import Scale, usage, usage_over_time

__all__ = [
    "NOTEBOOK_WIDTH",
    "Scale",
    "annotate_delay",
    "annotate_events",
    "annotate_place",
    "comparison",
    "distributions",
    "new_figure",
    "usage",
    "usage_over_time",
]
