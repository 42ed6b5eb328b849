"""The tables and the picture of docs/workloads.md: ``QUOTASIM_REAL_DATA=DIR python -m tests.workload_page`` makes them
anew from the real history, which is not part of the repository.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

import quotasim as qs
from quotasim import frames, plots, workloads
from quotasim.importers.tables import read_tables
from quotasim.importers.trace_table import TraceOp, trace_from_tables
from quotasim.kernels import NULL
from quotasim.model.oci import Kind
from quotasim.workloads.calibration import fit_measures
from quotasim.workloads.measure import MEASURES, Measures, ks_distance, measure
from quotasim.workloads.report import samples_of

from . import pages
from .kind_stories import save
from .pages import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "workloads.md"
PICTURE = ROOT / "docs" / "images" / "workloads.png"
MAKER = "tests/workload_page.py"

ODD, EVEN = (1, 3, 5, 7, 9, 11), (2, 4, 6, 8, 10, 12)
SEEDS = range(5)
SHARES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.99)
FACTOR, LEAST = 1.5, 0.02
"""How much farther from the even months a stream may be than the odd ones, and what is near in any case."""

SAID = {
    "layers": "layers of an image",
    "layer_size": "bytes of a layer",
    "sharing": "images that have a layer",
    "new_share": "new bytes of a push",
    "image_size": "bytes of an image",
    "pushes_per_tag": "pushes of a tag",
    "repush_gap": "days between pushes of a tag",
}
OTHERS = ("pushes_per_tag", "repush_gap", "image_size")
"""Drawn from the calibration or following from it, and held to nothing."""


@dataclass(frozen=True, slots=True)
class Halves:
    """The two halves of the real history, and what is generated from the odd one, by its seed."""

    odd: Measures
    even: Measures
    generated: tuple[Measures, ...]


@cache
def halves(repo_info: Path) -> Halves:
    """Return the halves of the history that a directory of tables has. Listings of the schema 1 era do not count."""
    trace = trace_from_tables(read_tables(repo_info))
    only = trace.manifests.media_type != NULL
    odd, even = (measure(trace, months=months, only=only) for months in (ODD, EVEN))
    calibration = fit_measures(odd)
    streams = (workloads.hub_like(manifests=odd.layers.size, calibration=calibration, seed=seed) for seed in SEEDS)
    return Halves(odd, even, tuple(measure(stream) for stream in streams))


def distances(found: Halves) -> str:
    """Return how far generated and real are apart."""
    lines = []
    for name in (*MEASURES, *OTHERS):
        odd, even = getattr(found.odd, name), getattr(found.even, name)
        between = ks_distance(odd, even)
        ours = [ks_distance(getattr(one, name), even) for one in found.generated]
        aim = f"{max(FACTOR * between, LEAST):.3f}" if name in MEASURES else "none"
        lines.append((SAID[name], f"{between:.3f}", aim, f"{min(ours):.3f} to {max(ours):.3f}"))
    return table(("", "odd and even months", "aim", "generated and even months"), lines)


def shown(name: str, value: float) -> str:
    """Return a number of a measure for people."""
    if name in ("layer_size", "image_size"):
        return qs.format_bytes(round(value))
    return f"{100 * value:.0f} %" if name == "new_share" else f"{value:.0f}"


def quantiles(found: Halves) -> str:
    """Return the quantiles of what is generated beside the real ones."""
    histories = {
        "generated from odd months": samples_of(found.generated[0]),
        "odd months": samples_of(found.odd),
        "even months": samples_of(found.even),
    }
    frame = frames.quantiles(histories, np.array(SHARES))
    lines = []
    for name in MEASURES:
        part = frame[frame["measure"] == name]
        lines += [
            (SAID[name] if place == 0 else "", history, *(shown(name, value) for value in part[history]))
            for place, history in enumerate(histories)
        ]
    return table(("", "", *(f"{100 * share:g} %" for share in SHARES)), lines)


def generators() -> str:
    """Return what each generator makes when it is told nothing."""
    lines = []
    for name, generator in workloads.GENERATORS.items():
        stream = generator()
        registry = qs.replay(stream, profile="distribution-2.8")
        usage, images = registry.usage(), int((stream.manifests.kind == Kind.IMAGE).sum())
        days = (stream.time[-1] - stream.time[0]) / 86_400e6
        removals = np.isin(stream.op, (TraceOp.UNTAG, TraceOp.DELETE)).sum()
        lines.append(
            (
                f"`{name}`",
                f"{stream.time.size:,}",
                f"{images:,}",
                f"{removals:,}",
                f"{days:.0f}",
                qs.format_bytes(usage.logical_bytes),
                qs.format_bytes(usage.stored_bytes),
            )
        )
    head = ("generator", "operations", "images", "removals", "days", "logical at the end", "stored at the end")
    return table(head, lines)


def draw(found: Halves, file: str | os.PathLike[str] | IO[bytes]) -> None:
    """Draw the distributions of what is generated over the real ones."""
    histories = {
        "generated, from the odd months": samples_of(found.generated[0]),
        "real, even months": samples_of(found.even),
        "real, odd months": samples_of(found.odd),
    }
    axes = plots.distributions(frames.quantiles(histories, np.linspace(0, 1, 1_001)))
    for ax, name, below in zip(axes, MEASURES, ("images", "layers", "layers", "pushes"), strict=True):
        odd, even, made = (getattr(one, name) for one in (found.odd, found.even, found.generated[0]))
        ax.set_ylabel(f"{below} up to this (%)")
        ax.set_title(
            f"gap: generated {ks_distance(made, even):.3f}, odd {ks_distance(odd, even):.3f}",
            fontsize=8.5,
            loc="left",
        )
    figure = axes[0].get_figure(root=True)
    title = "gap: the largest difference from the curve of the even months, as a part of 1 (Kolmogorov and Smirnov)"
    figure.legends[0].set_title(title, prop={"size": 8.5})
    save(figure, file)


def filled(page: str, real: Halves | None) -> str:
    """Return the page with its parts made anew; without the real history only those that do without it."""
    page = pages.filled(page, MAKER, {"generators": generators()})
    if real is None:
        return page
    return pages.filled(page, MAKER, {"distances": distances(real), "quantiles": quantiles(real)})


if __name__ == "__main__":
    history = halves(Path(os.environ["QUOTASIM_REAL_DATA"]) / "repo_info")
    draw(history, PICTURE)
    PAGE.write_text(filled(PAGE.read_text(), history))
