"""``quotasim demo``: the two stories, as a table and a picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quotasim.cli.options import FormatOption
from quotasim.cli.output import ColumnKind, Report, Table, check_place, chosen_format, emit, header
from quotasim.cli.progress import note, working
from quotasim.cli.why import sentence
from quotasim.units import format_bytes, format_time

if TYPE_CHECKING:
    from quotasim.demo import Story
    from quotasim.results import Why

STEP_COLUMNS: dict[str, ColumnKind] = {
    "minute": "ratio",
    "event": "text",
    "charged_bytes": "bytes",
    "reported_bytes": "bytes",
    "stored_bytes": "bytes",
}
DATA_COLUMNS: dict[str, ColumnKind] = {"story": "count", "at": "text", **STEP_COLUMNS}


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PNG", help="Where to draw the picture.")] = Path(
        "quotasim-demo.png"
    ),
    format: FormatOption = None,
) -> None:
    """Two stories on a simulated Azure registry: why usage does not drop when images are deleted, and when it does."""
    chosen_format(format, None)
    check_place(output)
    with working("telling two stories"):
        from quotasim import demo as tales
        from quotasim.importers.traces import whole_file

        told = tales.stories()
        with whole_file(output) as file:
            tales.draw(told, file)
    documents: list[dict[str, object]] = []
    blocks: list[Table | str] = []
    data: list[dict[str, object]] = []
    for number, story in enumerate(told, 1):
        steps = _steps(story)
        data.extend({"story": number, **step} for step in steps)
        answers = [{"asked": asked, **asdict(answer)} for asked, answer in story.answers]
        documents.append({"title": story.title, "steps": steps, "why": answers})
        blocks.append(Table(STEP_COLUMNS, steps, title=story.title))
        blocks.extend(f"Why, {asked}? {_in_words(answer)}" for asked, answer in story.answers)
    registry = max((story.registry for story in told), key=lambda registry: registry.now)
    document = {**header(registry), "picture": str(output), "stories": documents}
    emit(Report(document, Table(DATA_COLUMNS, data), blocks), format)
    note(f"the picture is in {output}")


def _steps(story: Story) -> list[dict[str, object]]:
    """Return the steps of a story as rows."""
    return [
        {
            "at": format_time(step.usage.as_of),
            "minute": step.minute,
            "event": step.text,
            "charged_bytes": step.usage.charged_bytes,
            "reported_bytes": step.usage.reported_bytes,
            "stored_bytes": step.usage.stored_bytes,
        }
        for step in story.steps
    ]


def _in_words(answer: Why) -> str:
    """Return what ``why`` says, with the holders of what others hold too, the largest blob first."""
    lines = [sentence(answer)]
    for blob in answer.blobs:
        if blob.held_by:
            size = "an unknown size" if blob.size is None else format_bytes(blob.size)
            others = f"{blob.holders - 1} other" + ("s" if blob.holders > 2 else "")
            lines.append(f"  {blob.role} {blob.digest[:19]}, {size}: held by {others}, {_named(blob.held_by)}")
    return "\n".join(lines)


def _named(names: tuple[str, ...]) -> str:
    """Return one or two names, or the first and the last of more."""
    return " and ".join(names) if len(names) <= 2 else f"{names[0]} to {names[-1]}"
