"""``quotasim generate``: a seeded workload, as a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from quotasim import __version__
from quotasim.cli.import_tables import COUNT_COLUMNS
from quotasim.cli.options import FormatOption
from quotasim.cli.output import SCHEMA_VERSION, Report, Table, check_place, chosen_format, emit
from quotasim.cli.progress import working
from quotasim.errors import InvalidValue
from quotasim.nearest import nearest_names
from quotasim.units import format_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import Parameter

    from quotasim.importers.trace_table import TraceTable


def generate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A generator: one_gb, ci, releases, hub_like, ...")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The trace to write: .parquet or .jsonl.zst.")
    ],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of all that is drawn.")] = 0,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045  typer reads it
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the generator; may be given again."),
    ] = None,
    format: FormatOption = None,
) -> None:
    """Write the pushes and removals of a made-up registry. Equal arguments give equal bytes."""
    chosen_format(format, None)
    check_place(output)
    with working("generating"):
        from quotasim.importers.traces import check_trace_name, write_trace
        from quotasim.workloads import GENERATORS

        check_trace_name(output)
        if name not in GENERATORS:
            near = nearest_names(name, GENERATORS) or tuple(GENERATORS)
            raise InvalidValue("NAME", name, f"a generator, such as {', '.join(near)}")
        stream = GENERATORS[name](**read_settings(GENERATORS[name], settings or []), seed=seed)
        write_trace(output, stream)
    counts = _counts(stream)
    data = Table(COUNT_COLUMNS, [{"what": what, "count": count} for what, count in counts.items()])
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "profile": None,
        "dedup_scope": None,
        "computed_at": format_time(int(stream.time[-1])),
        "trace": str(output),
        "generator": name,
        "seed": seed,
        **counts,
    }
    first, last = (format_time(int(stream.time[place])) for place in (0, -1))
    emit(Report(document, data, [f"{name}, seed {seed}, from {first} to {last}", data]), format)


def read_settings(generator: Callable[..., TraceTable], settings: list[str]) -> dict[str, Any]:
    """Return the arguments that ``key=value`` texts say, by the types of the generator's parameters.

    Raises
    ------
    InvalidValue : there is no such parameter, or the text is no value of its type.
    """
    from inspect import signature

    known = dict(signature(generator).parameters)
    del known["seed"]  # it has an option of its own
    found: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key not in known or key in found:
            near = nearest_names(key, known) or tuple(known)
            raise InvalidValue("--set", setting, f"KEY=VALUE, each key once, such as {', '.join(near)}")
        found[key] = _value(known[key], text)
    return found


def _value(parameter: Parameter, text: str) -> Any:
    """Return the value of a parameter; its annotation is text, as it stands in the source."""
    from quotasim.workloads import Calibration, Hours

    kinds = [kind.strip() for kind in str(parameter.annotation).split("|")]
    try:
        if "None" in kinds and text == "none":
            return None
        if "Distribution" in kinds:
            return _distribution(text)
        if "Hours" in kinds:
            begin, _, end = text.partition("-")
            return Hours(int(begin), int(end))
        if "Calibration" in kinds:
            return Calibration.read(Path(text))
        if "bool" in kinds:
            return {"yes": True, "no": False}[text]
        if "Sequence[str]" in kinds:
            return text.split(",")
        if "int" in kinds and (text.lstrip("-").isdecimal() or "str" not in kinds):
            return int(text)
        if "float" in kinds:
            return float(text)
    except (ValueError, KeyError):
        raise InvalidValue(parameter.name, text, _expected(kinds)) from None
    return text


def _distribution(text: str) -> Any:
    """Return the distribution of one number, or even between the logarithms of two: ``1000..5000``."""
    from quotasim.workloads import Distribution

    least, dots, most = text.partition("..")
    if not dots:
        return Distribution.always(float(least))
    return Distribution.between(float(least), float(most), "log" if float(least) > 0 else "linear")


def _expected(kinds: list[str]) -> str:
    """Return how values of a type are written."""
    written = {
        "Distribution": "a number, or two as in 1000..5000",
        "Hours": "hours as in 8-18",
        "bool": "yes or no",
        "int": "a whole number",
        "float": "a number",
    }
    return " or ".join([written[kind] for kind in kinds if kind in written] + ["none"] * ("None" in kinds))


def _counts(stream: TraceTable) -> dict[str, int]:
    """Return what the trace has."""
    from quotasim.importers.trace_table import TraceOp
    from quotasim.model.oci import Kind
    from quotasim.model.totals import exact_sum

    manifests = stream.manifests
    counts = {
        "operations": stream.time.size,
        "repositories": len(stream.repositories),
        "images": int((manifests.kind == Kind.IMAGE).sum()),
        "indexes": int((manifests.kind == Kind.INDEX).sum()),
        "blobs": len(stream.blobs.digest),
        "blob_bytes": exact_sum(stream.blobs.size),
    }
    return counts | {f"{op.name.lower()}_operations": int((stream.op == op).sum()) for op in TraceOp}
