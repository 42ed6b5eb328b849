"""The pictures of docs/pictures.md, made anew by ``python -m tests.gallery``: of registries that are made up here, and
by the calls that stand beside them on the page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import quotasim as qs
from quotasim import frames, plots, whatif, workloads
from quotasim.whatif import Runs, Scenario

FOLDER = Path(__file__).parent.parent / "docs" / "images"
DPI = 110
MIB = 2**20


@cache
def teams() -> qs.Registry:
    """Return a registry in which four teams build on one base, and one has a base of its own."""
    registry = qs.Registry("acr-premium", start="2026-01-01")
    base = [qs.Blob.synthetic("debian", 48 * MIB), qs.Blob.synthetic("runtime", 210 * MIB)]
    others = [qs.Blob.synthetic("windows tools", 480 * MIB)]
    apps = {"shop": 4, "search": 3, "billing": 2, "mobile": 1, "legacy": 2}
    for team, count in apps.items():
        common = qs.Blob.synthetic(f"common to {team}", 60 * MIB)
        for number in range(count):
            own = qs.Blob.synthetic(f"{team} {number}", (12 + 9 * number) * MIB)
            layers = [*(others if team == "legacy" else base), common, own]
            registry.push(
                f"{team}/app-{number + 1}:v1", qs.Image(layers, qs.Blob.synthetic(f"{team} {number} c", 7_000))
            )
    registry.advance("1h")
    return registry


@cache
def runs() -> Runs:
    """Return four months of continuous integration under five policies."""
    base = qs.Registry("gitlab", start="2026-01-01")
    newest = qs.RetentionPolicy([qs.KeepNewest(40)])
    return whatif.run_scenarios(
        base,
        {
            "newest 40, daily": Scenario(retention=newest),
            "newest 40, monthly": Scenario(retention=newest, retention_every="30d"),
            "younger than 30 d": Scenario(retention=qs.RetentionPolicy([qs.KeepYounger("30d")])),
            "limit 500 GiB": Scenario(limit="500 GiB"),
        },
        operations=workloads.ci(seed=1, start="2026-01-01", days=120, services=8, tag_lifetime=None),
        every="1d",
    )


def usage() -> Figure:
    """Usage over time: what is pushed, deleted, and comes back."""
    registry = qs.Registry("gitlab", start="2026-01-01", limit="1 GiB")
    marks = {}

    def mark(text: str) -> None:
        marks[pd.Timestamp(registry.now, unit="us", tz="UTC")] = text

    base = qs.Blob.synthetic("base", 300 * MIB)
    for number in range(1, 5):
        own = qs.Blob.synthetic(f"own {number}", 90 * MIB)
        registry.push(f"team/app:{number}", qs.Image([base, own], qs.Blob.synthetic(f"config {number}", 5_000)))
        registry.advance("6h")
    mark("three of\nfour deleted")
    registry.delete(*(f"team/app:{number}" for number in range(1, 4)))
    registry.advance("60h")
    figure, (axes,) = plots.new_figure(width=plots.NOTEBOOK_WIDTH, height=3.6)
    until = pd.Timestamp(registry.now, unit="us", tz="UTC")
    plots.usage(frames.usage_over_time(registry.engine), axes, limit=2**30, events=marks, until=until)
    plots.legend(axes)
    return figure


def _one(draw: Callable[..., object], *arguments: object, height: float, **settings: object) -> Figure:
    """Return a figure of a notebook's width with one picture."""
    figure, (axes,) = plots.new_figure(width=plots.NOTEBOOK_WIDTH, height=height)
    draw(*arguments, axes, **settings)
    return figure


def treemap() -> Figure:
    """Who has the bytes, and how many of them alone."""
    return _one(plots.treemap, frames.sharing(teams().df("repository")), height=3.9)


def holders() -> Figure:
    """Which image holds which blob."""
    return _one(plots.holders, frames.holders(teams().engine), height=4.4)


def waterfall() -> Figure:
    """Where the bytes of a deletion stay."""
    registry = teams().under("gitlab")
    gone = [f"shop/app-{number}:v1" for number in range(1, 5)]
    return _one(plots.waterfall, frames.deletion(registry.preview(delete=gone)), height=3.9)


def chargeback() -> Figure:
    """What each team would pay for, by three splits."""
    registry = teams()
    charged = registry.usage().charged_bytes
    return _one(plots.chargeback, frames.chargeback(registry.chargeback("namespace")), height=3.9, charged=charged)


def scenarios() -> Figure:
    """What other policies would have done."""
    return _one(plots.scenarios, runs().usage, height=4.2, figure="charged", limit=500 * 2**30)


def differences() -> Figure:
    """By how much they differ in the end."""
    return _one(plots.differences, whatif.compare(runs()), height=2.9, figure="mean_stored_bytes")


PICTURES: dict[str, Callable[[], Figure]] = {
    "usage": usage,
    "treemap": treemap,
    "holders": holders,
    "waterfall": waterfall,
    "chargeback": chargeback,
    "scenarios": scenarios,
    "differences": differences,
}


if __name__ == "__main__":
    for name, make in PICTURES.items():
        make().savefig(FOLDER / f"picture-{name}.png", dpi=DPI)
