"""The story of ten images on one base, lived by every kind: ``python -m tests.kind_stories`` makes its page anew.

Ten images are pushed, one an hour; nine are deleted by tag, as a client would; four weeks later the tenth. Where a kind
is collected by hand that is done every night. What changed, when and why is read from the log.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import quotasim as qs
from quotasim import frames, plots
from quotasim.profiles import PROFILES

from . import pages
from .pages import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "timelines.md"
IMAGES = ROOT / "docs" / "images"

START = pd.Timestamp("2026-01-05T08:00", tz="UTC")
"""Hour 0: the first image is pushed."""

NINE = START + pd.Timedelta(hours=10)
REST = pd.Timedelta(weeks=4)
"""Longer than any kind takes to come to rest: Quay, which takes longest, has done so after two weeks."""

TENTH = NINE + REST
STOP = TENTH + REST
NIGHTLY = pd.Timedelta(hours=2)
"""At this time of the day a collection is run where the kind has none of its own. Ours: no vendor says when."""

MIB = 2**20
BASE, OWN, CONFIG, MANIFEST = 160 * MIB, 40 * MIB, 30_720, 2_048
IMAGE = BASE + OWN + CONFIG + MANIFEST
TAGS = tuple(f"team/app:v{number}" for number in range(1, 11))

ACTS = {
    "PUSH": "image pushed",
    "UNTAG": "tags removed",
    "DELETE": "manifests deleted",
    "COLLECT": "manifests collected",
    "SWEEP": "blobs swept",
    "GC": "nightly run",
}
NOTHING = "no figure moves"


@dataclass(frozen=True, slots=True)
class Row:
    """The four figures from one moment on, and what changed them then."""

    at: pd.Timestamp
    logical: int
    charged: int
    reported: int
    stored: int
    cause: str


# -- living it


@cache
def live(kind: str) -> qs.Registry:
    """Return a registry of a kind after the story; to be asked only."""
    return live_until(kind, STOP)


def live_until(kind: str, until: pd.Timestamp) -> qs.Registry:
    """Return a registry of a kind as the story has it at a moment, before what is done then."""
    registry = qs.Registry(kind, start=START.isoformat())
    base = qs.Blob.synthetic("story: base", BASE)
    for hour, tag in enumerate(TAGS):
        wait(registry, START + pd.Timedelta(hours=hour))
        digest = qs.Blob.synthetic(f"story: manifest of {tag}", MANIFEST).digest
        own, config = qs.Blob.synthetic(f"story: {tag}", OWN), qs.Blob.synthetic(f"story: config of {tag}", CONFIG)
        assert registry.push(tag, qs.Image([base, own], config, digest=digest, size=MANIFEST)).accepted
    for moment, tags in ((NINE, TAGS[:9]), (TENTH, TAGS[9:])):
        if moment < until:
            wait(registry, moment)
            registry.delete(*tags)
    wait(registry, until)
    return registry


def wait(registry: qs.Registry, until: pd.Timestamp) -> None:
    """Let time pass, and run the collector every night where somebody has to."""
    if registry.profile.collection == "manual":
        now = pd.Timestamp(registry.now, unit="us", tz="UTC")
        for night in pd.date_range(now.floor("D") + NIGHTLY, until, freq="D"):
            if night > now:
                registry.advance(to=night.isoformat())
                registry.apply(registry.plan_gc())
    registry.advance(to=until.isoformat())


def rows(registry: qs.Registry) -> list[Row]:
    """Return every moment at which a figure changed, and the two of the deletions, with their causes."""
    frame = frames.usage_over_time(registry.engine)
    wide = frame.pivot_table(index="at", columns="figure", values="bytes", aggfunc="last", observed=False)
    moments = wide.index.union(pd.DatetimeIndex([NINE, TENTH]))
    wide = wide.reindex(moments).ffill().fillna(0).astype("int64")
    causes = causes_of(registry)
    follows = set(frame["at"][frame["figure"] == "reported"]) - set(frame["at"][frame["figure"] == "charged"])
    found = []
    for at, figures in zip(wide.index, wide.itertuples(index=False), strict=True):
        said = [causes[at]] if at in causes else []
        said += ["the display follows"] if at in follows else []
        found.append(Row(at, *(getattr(figures, name) for name in frames.FIGURES), "; ".join(said)))
    return found


def causes_of(registry: qs.Registry) -> dict[pd.Timestamp, str]:
    """Return what the log says of each moment: what changed bytes, or was deleted, and after what chain of causes."""
    events = registry.events()
    kinds, causes, times = events["kind"].tolist(), events["cause"].tolist(), events["time"].tolist()
    moves = (events[["logical_bytes", "charged_bytes", "stored_bytes"]] != 0).any(axis=1).to_numpy()
    asked = events["kind"].isin(["UNTAG", "DELETE"]).to_numpy() & events["cause"].isna().to_numpy()
    chains: dict[pd.Timestamp, dict[str, bool]] = {}
    for event in np.flatnonzero(moves | asked).tolist():
        at, parts, one = times[event], [], event
        while one is not pd.NA:
            parts.append(ACTS[kinds[one]] + ("" if times[one] == at else f" ({clock(times[one])})"))
            one = causes[one]
        said = " → ".join(reversed(parts))
        chains.setdefault(at, {}).setdefault(said, False)
        chains[at][said] |= bool(moves[event])
    return {
        at: ", ".join(
            said if moved else f"{said}: {NOTHING}"
            for said, moved in found.items()
            if not any(other.startswith(said) and other != said for other in found)
        )
        for at, found in chains.items()
    }


@cache
def groups() -> dict[tuple[str, ...], list[Row]]:
    """Return the rows of every kind; kinds to which the same happens are together."""
    found: dict[tuple[Row, ...], list[str]] = {}
    for kind in PROFILES:
        found.setdefault(tuple(rows(live(kind))), []).append(kind)
    return {tuple(kinds): list(told) for told, kinds in found.items()}


# -- the page


def clock(at: pd.Timestamp) -> str:
    """Return the hours and minutes since the first push."""
    minutes = round((at - START) / pd.Timedelta(minutes=1))
    return f"{minutes // 60}:{minutes % 60:02}"


def mib(size: int) -> str:
    """Return bytes as MiB, without the unit."""
    return f"{size / MIB:,.1f}"


def named(kinds: tuple[str, ...]) -> str:
    """Return the names of kinds for a table."""
    return ", ".join(f"`{kind}`" for kind in kinds)


def moments() -> str:
    """Return the table of all kinds and moments."""
    return table(
        ("kind", "hour", "logical", "charged", "reported", "stored", "cause"),
        (
            (
                named(kinds),
                clock(row.at),
                *(mib(size) for size in (row.logical, row.charged, row.reported, row.stored)),
                row.cause,
            )
            for kinds, told in groups().items()
            for row in told
        ),
    )


def summary() -> str:
    """Return by how much each figure fell after each deletion, and when it had done so."""
    lines = []
    for kinds in groups():
        history = frames.usage_over_time(live(kinds[0]).engine)
        for deletion, since, until in (("nine", NINE, TENTH), ("the tenth", TENTH, STOP)):
            found = frames.falls({kinds[0]: history}, since, until - INSTANT)
            lines.append((named(kinds), deletion, *map(fall, found["fallen_bytes"], found["wait"])))
    return table(("kind", "deleted", *frames.FIGURES), lines)


def fall(fallen: int, waited: pd.Timedelta) -> str:
    """Return by how much a figure fell from its peak since a deletion, and how long after it that was done."""
    if not fallen:
        return "stays"
    when = f"after {qs.format_duration(waited // pd.Timedelta(1, 'us'))}" if waited else "at once"
    return f"-{mib(fallen)} {when}"


def filled(page: str) -> str:
    """Return the page with its generated parts made anew."""
    return pages.filled(page, "tests/kind_stories.py", {"summary": summary(), "moments": moments()})


# -- the pictures

TOP = 1.12 * (BASE + 10 * (IMAGE - BASE)) / 2**30
"""What a row of the picture of all kinds shows. Logical bytes, nearly four times as many, leave it at the top."""

PARTS: tuple[tuple[str, pd.Timestamp, pd.Timestamp, plots.Scale, str], ...] = (
    ("ten images are pushed", START, NINE, "hours", "hours"),
    ("nine of them are deleted", NINE, TENTH, "log", "time since the deletion"),
    ("four weeks later, the tenth", TENTH, STOP, "log", "time since the deletion"),
)
INSTANT = pd.Timedelta(seconds=1)


def draw_kinds(file: str | os.PathLike[str] | IO[bytes]) -> None:
    """Draw every kind in a row: the pushes, what follows on the deletion of nine, and on that of the tenth."""
    size = plots.NOTEBOOK_WIDTH, 1.1 * len(groups()) + 1.1
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(groups()), len(PARTS), sharey=True, sharex="col", width_ratios=(1, 1.5, 1.5))
    for (kinds, told), line in zip(groups().items(), axes, strict=True):
        registry = live(kinds[0])
        frame = frames.usage_over_time(registry.engine)
        for ax, (_, since, until, scale, _) in zip(line, PARTS, strict=True):
            plots.usage(frame, ax, since=since, until=until - INSTANT, scale=scale)
            ax.set(xlabel="", ylabel="")
            ax.tick_params(labelsize=8)
            if scale == "log":
                ax.axvline(0, color="#444444", linewidth=0.9, zorder=0.5)
                if told[-1].stored == max(row.stored for row in told):
                    plots.annotate_place(ax, 10, "nothing falls", height=0.3)
        line[0].set_ylim(-0.02 * TOP, TOP)
        line[0].set_yticks([0, 0.2, 0.4])
        line[0].set_xticks([0, 5, 10])
        line[0].set_title(", ".join(kinds), fontsize=9, fontweight="bold", loc="left", pad=4)
        if registry.profile.collection == "manual":
            line[1].set_title("collected every night at 02:00", fontsize=9, loc="left", pad=4)
    for ax, (title, *_) in zip(axes[0], PARTS, strict=True):
        ax.annotate(title, (0, 1), (0, 20), xycoords="axes fraction", textcoords="offset points", fontsize=10)
    for ax, (*_, below) in zip(axes[-1], PARTS, strict=True):
        ax.set_xlabel(below, fontsize=9)
    figure.supylabel("usage (GiB)", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    title = f"the logical bytes of ten images are {10 * IMAGE / 2**30:.1f} GiB, above what is drawn"
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9, title=title)
    save(figure, file)


def draw_one(file: str | os.PathLike[str] | IO[bytes]) -> None:
    """Draw one kind whose figures fall at times of their own, over hours as they are."""
    figure, (ax,) = plots.new_figure(width=plots.NOTEBOOK_WIDTH, height=3.8)
    plots.usage(
        frames.usage_over_time(live("gitlab").engine),
        ax,
        since=START,
        until=NINE + pd.Timedelta(hours=56),
        events={START: "ten\npushes", NINE: "nine tags are removed"},
    )
    plots.annotate_delay(ax, 10, 34, "24 h until the\nmanifests are reviewed", height=0.7)
    plots.annotate_delay(ax, 34, 58, "another 24 h until\ntheir blobs are", height=0.45)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    save(figure, file)


def save(figure: Figure, file: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write a picture, the same bytes every time."""
    figure.savefig(file, dpi=110, format="png", metadata={"Software": None})


PICTURES = {"story-kinds.png": draw_kinds, "story-gitlab.png": draw_one}


if __name__ == "__main__":
    for picture, draw in PICTURES.items():
        draw(IMAGES / picture)
    PAGE.write_text(filled(PAGE.read_text()))
