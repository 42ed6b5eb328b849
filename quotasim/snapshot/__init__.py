"""Snapshots: a registry as a directory of Parquet tables that pandas, DuckDB and polars read without quotasim.

A snapshot has one ``.parquet`` file (zstd) for each table of `quotasim.snapshot.tables.TABLES`, a ``snapshot.json``
(`quotasim.snapshot.header.Header`), and ``saved_at.txt``, the only file in which two savings of equal registries
differ. Row number = id, in the first column of each table:

=================  =====================================================================================
blobs              digest, size (null: unknown), media_type, foreign; stored, holders (live manifests)
manifests          the blob of its own bytes, kind, subject, platform, artifact_type, logical_bytes
descriptors        what each manifest names: blob, role, times (how often it is listed)
late_children      manifests that an index named before they were known
repositories       name, namespace, lock (bits: 1 no writing, 2 no deletion, 4 no reading, 8 quarantine)
tags               repository, name, platform (replayed histories), the link it points to (null: none), lock
links              (repository, manifest), linked now or once; events, tags, parent indexes, lock, pulled_at
blob_links         (repository, blob) of uploads that no manifest names yet; removed: deleted there as a blob
uploads            uploads and other requests, unfinished or not: repository, bytes received and reserved, open
events             the log: time, kind, reason, what it was about, its cause, and signed deltas
scopes             charged and limit bytes of each scope of the profile (limit null: none); drift of its counter
scope_manifests    the counts behind the charge, where the profile's rule keeps its own
scope_blobs        the same by blob
collect_queue      candidates for collection, and the event and time that made them so
sweep_queue        released blobs, likewise
purge_queue        unfinished uploads, likewise
loose_queue        uploaded blobs that no manifest named, likewise, by repository
agenda             what happens at a set time: links to be collected, scopes to be counted
=================  =====================================================================================
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from quotasim import __version__
from quotasim.engine import Engine
from quotasim.errors import SnapshotError
from quotasim.snapshot.columns import Kind, Table, WrongColumn, add_to_hash, new_hash, read_column, write_column
from quotasim.snapshot.header import (
    SCHEMA_VERSION,
    Header,
    WrongHeader,
    parse_header,
    profile_as_json,
    profile_from_json,
)
from quotasim.snapshot.restore import WrongTable, check_ids, engine_of
from quotasim.snapshot.tables import LAST_RUN, TABLES, TOTALS, tables_of
from quotasim.units import format_time

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Header", "describe", "load_engine", "save"]

HEADER: Final = "snapshot.json"
SAVED_AT: Final = "saved_at.txt"

THREADS: Final = 2
"""Tables that are written, or read, at a time: two of them hold nearly all that a snapshot holds."""


# -- saving --------------------------------------------------------------------------------------------


def save(
    engine: Engine,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    seed: int | None = None,
    provenance: Mapping[str, str] | None = None,
    attach: Mapping[str, Callable[[Path], object]] | None = None,
) -> None:
    """Write a snapshot of an engine, whole or not at all.

    Parameters
    ----------
    path : the directory to be; in one that exists.
    overwrite : whether a snapshot that is there may be replaced. An empty directory always may, any other
        directory or file never.
    seed, provenance : what made the registry and where it comes from, for ``snapshot.json``.
    attach : further files by name, each with what writes it to the path it is given; part of the whole.

    Raises
    ------
    SnapshotError : something is there already, or the disk refuses.

    Notes
    -----
    Written to a directory beside ``path`` and put in its place when everything is on disk. Replacing takes two
    renamings: who looks between them finds nothing, who is cut off there finds the old one beside, under the name
    ``.NAME.RANDOM.old``. Equal engines give equal bytes, ``saved_at.txt`` left out. O(rows).
    """
    target = Path(path).resolve()
    _refuse_others(target, overwrite=overwrite)
    try:
        with _whole_directory(target) as directory:
            _write(directory, engine, seed, dict(provenance or {}))
            for name, write in (attach or {}).items():
                write(directory / name)
            with (directory / SAVED_AT).open("x") as file:
                file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n")
    except OSError as error:
        raise SnapshotError(path, f"it cannot be written: {error}") from error


def _refuse_others(target: Path, *, overwrite: bool) -> None:
    """Refuse a path at which there is anything that may not be replaced."""
    if not target.parent.is_dir():
        raise SnapshotError(target, f"there is no directory {str(target.parent)!r} to write it to")
    if not target.exists():
        return
    if not target.is_dir():
        raise SnapshotError(target, "a file is in its place")
    if not any(target.iterdir()):
        return
    if not (target / HEADER).is_file():
        raise SnapshotError(target, "the directory there is no snapshot and is not empty")
    if not overwrite:
        raise SnapshotError(target, "there is one already; it can be overwritten if asked for")


@contextmanager
def _whole_directory(target: Path) -> Iterator[Path]:
    """A new directory that takes the place of ``target`` at the end, or goes without a trace."""
    mark = secrets.token_hex(8)
    partial = target.with_name(f".{target.name}.{mark}.partial")
    partial.mkdir()
    try:
        yield partial
        for file in partial.iterdir():
            _sync(file)
        _sync(partial)
        if target.exists():
            old = target.with_name(f".{target.name}.{mark}.old")
            os.rename(target, old)
            try:
                os.rename(partial, target)
            except BaseException:
                os.rename(old, target)
                raise
            shutil.rmtree(old)
        else:
            os.rename(partial, target)
        _sync(target.parent)
    finally:
        if partial.exists():
            shutil.rmtree(partial)


def _sync(path: Path) -> None:
    """Wait until a file or a directory is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(directory: Path, engine: Engine, seed: int | None, provenance: dict[str, str]) -> None:
    tables = tables_of(engine)

    def write(name: str) -> int:
        arrow = pa.table({field.name: write_column(field, tables[name][field.name]) for field in TABLES[name]})
        with (directory / f"{name}.parquet").open("xb") as file:
            _write_table(arrow, name, file)
        return arrow.num_rows

    with ThreadPoolExecutor(THREADS) as pool:
        rows = dict(zip(tables, pool.map(write, tables), strict=True))
    state = engine.state
    header = Header(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        as_of=format_time(state.now),
        now=state.now,
        profile=profile_as_json(engine.profile),
        version=state.version,
        next_batch=engine.next_batch,
        settled_events=engine.settled_events,
        origin=state.origin,
        replicas=engine.replicas,
        random_seed=engine.seed,
        last_run=[int(state.cursor[row]) for row in LAST_RUN],
        schedule=None if engine.schedule is None else asdict(engine.schedule),
        totals={name: state.total(row) for name, row in TOTALS.items()},
        rows=rows,
        seed=seed,
        provenance=provenance,
    )
    header = msgspec.structs.replace(header, content_hash=_content_hash(header, tables))
    with (directory / HEADER).open("x") as text:
        text.write(header.as_text())


def _write_table(table: pa.Table, name: str, file: BinaryIO) -> None:
    labels: Any = [field.name for field in TABLES[name] if field.kind is Kind.LABEL]
    ids: Any = {field.name: "DELTA_BINARY_PACKED" for field in TABLES[name] if field.over}
    pq.write_table(
        table,
        file,
        compression="zstd",
        use_dictionary=labels,
        column_encoding=ids,
        write_page_checksum=True,
    )


def _content_hash(header: Header, tables: dict[str, Table]) -> str:
    digest: _Hash = new_hash()
    digest.update(header.content())
    for name, columns in tables.items():
        digest.update(f"\n{name}\n".encode())
        for field in TABLES[name]:
            add_to_hash(digest, field, columns[field.name])
    return f"sha256:{digest.hexdigest()}"


# -- loading -------------------------------------------------------------------------------------------


def describe(path: str | os.PathLike[str]) -> Header:
    """What ``snapshot.json`` says of a snapshot, without reading its tables.

    Raises
    ------
    SnapshotError : there is none, or it cannot be understood.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise SnapshotError(path, "there is no such directory")
    file = directory / HEADER
    try:
        return parse_header(file.read_bytes())
    except FileNotFoundError:
        raise SnapshotError(file, "is missing: the directory is no snapshot") from None
    except OSError as error:
        raise SnapshotError(file, f"it cannot be read: {error}") from error
    except WrongHeader as error:
        raise SnapshotError(file, str(error)) from error


def load_engine(path: str | os.PathLike[str]) -> Engine:
    """The engine that `save` was given: it says the same, and goes on in the same way.

    Raises
    ------
    SnapshotError : there is no snapshot, it is damaged, or a later version wrote it; names the file.

    Notes
    -----
    O(rows).
    """
    directory = Path(path)
    header = describe(directory)
    with ThreadPoolExecutor(THREADS) as pool:
        read = pool.map(lambda name: _read_table(directory / f"{name}.parquet", name, header.rows.get(name)), TABLES)
        tables = dict(zip(TABLES, read, strict=True))
    if _content_hash(header, tables) != header.content_hash:
        raise SnapshotError(directory, f"its content is not that of which {HEADER} has the hash")
    missing = sorted(set(TOTALS) - set(header.totals))
    try:
        if missing:
            reason = f"the totals have no {missing[0]!r}"
            raise WrongHeader(reason)
        profile = profile_from_json(header.profile)
        check_ids(tables, header.rows)
        return engine_of(header, profile, tables)
    except WrongHeader as error:
        raise SnapshotError(directory / HEADER, str(error)) from error
    except WrongTable as error:
        raise SnapshotError(directory / f"{error.table}.parquet", error.reason) from error


def _read_table(file: Path, name: str, rows: int | None) -> Table:
    """One table, its columns checked each for itself."""
    if not file.is_file():
        raise SnapshotError(file, "is missing")
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            found: Any = parquet.metadata.num_rows
            if found != rows:
                raise SnapshotError(file, f"it has {found:,} rows, and {HEADER} says {rows}")
            arrow = parquet.read()
        columns: Table = {}
        for field in TABLES[name]:
            place = arrow.schema.get_field_index(field.name)
            if place < 0:
                raise SnapshotError(file, f"it has no column {field.name!r}, or more than one")
            columns[field.name] = read_column(field, arrow.column(place))
    except WrongColumn as error:
        raise SnapshotError(file, str(error)) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SnapshotError(file, f"it cannot be read: {error}") from error
    return columns
