"""The two stories behind "why did usage not drop?", told by a registry of the kind ``acr-premium``.

Both are experiments from the vendor's FAQ: an image with a layer of its own, which gives back what it took; and
images on one base, of which all but the last give back almost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Final

import pandas as pd

from quotasim import frames, plots
from quotasim.model.oci import Blob, Image
from quotasim.registry import Registry
from quotasim.results import Usage, Why
from quotasim.units import format_bytes, parse_time
from quotasim.workloads.quota_check import EMPTY_LAYER, random_layer_bytes

PROFILE: Final = "acr-premium"
START: Final = "2025-12-31T23:30:00Z"
ORIGIN: Final = "2026-01-01T00:00:00Z"
"""Minute 0: what was pushed before has long arrived in the display."""

GIB: Final = 2**30
MINUTE: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """Usage after something happened.

    Attributes
    ----------
    minute : since minute 0.
    text : what happened.
    mark : what the picture says of it; empty for what the picture shows by itself.
    """

    minute: float
    text: str
    mark: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Story:
    """A registry that has lived through one of the stories.

    Attributes
    ----------
    title : what it shows.
    steps : in order of time.
    remark : for the picture, and the minute at which it is to be written.
    answers : what :meth:`Registry.why` said, by the moment at which it was asked.
    """

    title: str
    registry: Registry
    steps: tuple[Step, ...]
    answers: tuple[tuple[str, Why], ...]
    remark: tuple[float, str] | None = None


class _Teller:
    """Lets time pass to a minute, and notes usage there."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.origin = parse_time(ORIGIN)
        self.steps: list[Step] = []

    def at(self, minute: float) -> None:
        """Let time pass up to a minute."""
        self.registry.advance(f"{self.origin + round(minute * MINUTE) - self.registry.now}us")

    def note(self, text: str, mark: str = "") -> None:
        """Note usage now."""
        minute = (self.registry.now - self.origin) / MINUTE
        self.steps.append(Step(minute, text, mark, self.registry.usage()))


def one_gib() -> Story:
    """An image with 1 GiB of its own: usage goes up when it is pushed, and comes back when it is deleted."""
    registry = Registry(PROFILE, start=START)
    base = Blob.synthetic("demo: alpine base", 3_626_897)
    tool = Blob.synthetic("demo: tool", 9_310_208)
    registry.push("alpine:3.20", Image([base], Blob.synthetic("demo: alpine config", 1_471)))
    registry.push("tools/shell:1", Image([base, tool, EMPTY_LAYER], Blob.synthetic("demo: shell config", 2_210)))
    teller = _Teller(registry)
    teller.at(0)
    teller.note("two images are there, both on the alpine base")

    random = Blob.synthetic("demo: 1 GiB from /dev/urandom", random_layer_bytes(GIB))
    image = Image([base, random, EMPTY_LAYER], Blob.synthetic("demo: 1gb config", 2_684))
    teller.at(3)
    pushed = registry.push("1gb", image)
    teller.note(
        f"push 1gb: {format_bytes(pushed.uploaded_bytes)} are new, "
        f"{format_bytes(pushed.deduplicated_bytes)} (base, empty layer) were there",
        f"push 1gb\n{format_bytes(pushed.uploaded_bytes)} are new",
    )
    teller.at(8)
    teller.note("five minutes on: the display has it")
    teller.at(15)
    asked = registry.why("1gb")
    removed = registry.delete("1gb")
    freed = f"{format_bytes(removed.freed_charged_bytes)} less charged"
    teller.note(f"delete 1gb: {freed}; the display and the disk follow", f"delete 1gb\n{freed}")
    teller.at(20)
    teller.note("five minutes on: all is as it was")
    teller.at(24)
    title = "1  One image with a layer of its own: usage comes back, some minutes later"
    return Story(title, registry, tuple(teller.steps), (("before the deletion", asked),))


def shared_base() -> Story:
    """Ten images on one base: deleting nine frees next to nothing, deleting the tenth frees the base."""
    registry = Registry(PROFILE, start=START)
    base = [Blob.synthetic("demo: debian base", 49_571_840), Blob.synthetic("demo: runtime", 891_289_600)]
    names = [f"app-{number:02d}:v1" for number in range(1, 11)]
    teller = _Teller(registry)
    teller.at(0)
    for minute, name in enumerate(names, 1):
        own = Blob.synthetic(f"demo: {name}", 3_145_728 + 4_096 * minute)
        teller.at(minute)
        pushed = registry.push(name, Image([*base, own], Blob.synthetic(f"demo: {name} config", 7_200 + minute)))
        if minute in (1, 2, 10):
            new = f"{format_bytes(pushed.uploaded_bytes)} are new"
            mark = f"push ten images, one a minute\nthe first: {new}" if minute == 1 else ""
            teller.note(f"push {name}: {new}", mark)
    teller.at(18)
    before = registry.why(names[0])
    removed = registry.delete(*names[:9])
    freed = f"{format_bytes(removed.freed_charged_bytes)} less charged"
    teller.note(f"delete nine of the ten: {freed}", f"delete nine of the ten\n{freed}")
    teller.at(23)
    teller.note("five minutes on: usage has hardly moved")
    after = registry.why(names[9])
    teller.at(33)
    removed = registry.delete(names[9])
    freed = f"{format_bytes(removed.freed_charged_bytes)} less charged"
    teller.note(f"delete the tenth: {freed}", f"delete the tenth\n{freed}")
    teller.at(38)
    teller.note("five minutes on: nothing is left")
    teller.at(42)
    title = "2  Ten images on one base: deleting nine frees almost nothing, the tenth frees the base"
    answers = (("before the nine went", before), ("after the nine went", after))
    remark = f"why? {after.reference} still holds the base:\n{format_bytes(after.exclusive_bytes)} go only with it"
    return Story(title, registry, tuple(teller.steps), answers, remark=(26.5, remark))


def stories() -> tuple[Story, Story]:
    """Both stories."""
    return one_gib(), shared_base()


def draw(told: Sequence[Story], file: str | os.PathLike[str] | IO[bytes]) -> None:
    """Draw the stories as steps over time, one above the other, and write that as a PNG."""
    figure, axes = plots.new_figure(len(told), height=3.9)
    for story, ax in zip(told, axes, strict=True):
        registry = story.registry
        lag, wait = registry.profile.report_lag, registry.profile.sweep_after
        plots.usage_over_time(
            frames.usage_series(registry.engine),
            ax,
            lag=pd.Timedelta(lag, "us"),
            since=pd.Timestamp(ORIGIN),
            until=pd.Timestamp(registry.now, unit="us", tz="UTC"),
        )
        marked = [step for step in story.steps if step.mark]
        plots.annotate_events(ax, {step.minute: step.mark for step in marked})
        for step, late, text in (
            (marked[0], lag, "{}\nuntil the\ndisplay\nfollows"),
            (marked[-1], max(lag, wait), "{}\nuntil display\nand disk\nfollow"),
        ):
            end = step.minute + late / MINUTE
            plots.annotate_delay(ax, step.minute, end, text.format(f"{late / MINUTE:g} min"), height=0.55)
        if story.remark is not None:
            plots.annotate_place(ax, *story.remark, height=0.42)
        ax.set_title(story.title, loc="left", fontsize=11, fontweight="bold")
    handles, labels = axes[0].get_legend_handles_labels()
    title = f"simulated registry of the kind {PROFILE}"
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9, title=title)
    figure.savefig(file, dpi=110, format="png", metadata={"Software": None})
