"""Pictures: frames in, matplotlib Axes out. Binary prefixes, since sizes are binary; units on every axis; colours
that colour-blind people tell apart, and forms that can be told apart in grey.
"""

from quotasim.plots.chargeback import chargeback
from quotasim.plots.distributions import distributions
from quotasim.plots.falls import falls
from quotasim.plots.holders import holders
from quotasim.plots.kinds import comparison
from quotasim.plots.marks import annotate_delay, annotate_events, annotate_place
from quotasim.plots.scenarios import differences, scenarios
from quotasim.plots.style import NOTEBOOK_WIDTH, legend, new_figure
from quotasim.plots.treemap import treemap
from quotasim.plots.usage import Scale, usage, usage_over_time
from quotasim.plots.waterfall import waterfall

__all__ = [
    "NOTEBOOK_WIDTH",
    "Scale",
    "annotate_delay",
    "annotate_events",
    "annotate_place",
    "chargeback",
    "comparison",
    "differences",
    "distributions",
    "falls",
    "holders",
    "legend",
    "new_figure",
    "scenarios",
    "treemap",
    "usage",
    "usage_over_time",
    "waterfall",
]
