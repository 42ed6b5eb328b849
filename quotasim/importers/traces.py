"""Trace files: ``.jsonl.zst``, one event a line, or ``.parquet`` with the same columns.

A file is written whole or not at all, and read whole or rejected: a cut-off or lengthened file is never
taken for a short trace.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from quotasim.errors import InputRejected, InvalidValue
from quotasim.importers.checks import PER_SECOND
from quotasim.importers.table_schema import ProblemLog, error_text, shown
from quotasim.importers.trace_events import OP_NAMES, Collector, Descriptor, Event, repeated_key
from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.kernels import NULL
from quotasim.model.digests import format_digests
from quotasim.model.oci import Kind

__all__ = ["check_trace_name", "read_trace", "write_trace"]

MAX_LINE_BYTES: Final = 4 * 2**20
"""A manifest has at most 4 MiB in the distribution spec; a line holds one."""

MAX_PROBLEMS: Final = 1_000
"""Reading stops here: what has a thousand problems is not a trace."""

_JSONL: Final = ".jsonl.zst"
_PARQUET: Final = ".parquet"

# 128 KiB blocks of one repeated byte take 4 bytes each, so 2 KiB can become 64 MiB and no more.
_READ_BYTES: Final = 2048
_MAX_WINDOW_BYTES: Final = 2**27
_ROWS: Final = 20_000

_DESCRIPTOR: Final = pa.struct(
    [("digest", pa.string()), ("size", pa.int64()), ("mediaType", pa.string()), ("platform", pa.string())]
)
_TYPES: Final[dict[str, pa.DataType]] = {
    "time": pa.timestamp("us", "UTC"),
    "batch": pa.int32(),
    "op": pa.string(),
    "repository": pa.string(),
    "tag": pa.string(),
    "platform": pa.string(),
    "manifest": pa.string(),
    "previous": pa.string(),
    "blob": _DESCRIPTOR,
    "upload": pa.int32(),
    "bytes": pa.int64(),
    "mediaType": pa.string(),
    "size": pa.int64(),
    "config": _DESCRIPTOR,
    "layers": pa.list_(_DESCRIPTOR),
    "manifests": pa.list_(_DESCRIPTOR),
    "subject": pa.string(),
}
_SCHEMA: Final = pa.schema(_TYPES)
_REQUIRED: Final = ("time", "batch", "op", "repository")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# -- reading ------------------------------------------------------------------------------------------


def read_trace(path: Path) -> TraceTable:
    """Read and check a trace.

    Parameters
    ----------
    path : a ``.jsonl.zst`` or ``.parquet`` file. Several zstd frames one after the other are one text.

    Raises
    ------
    InputRejected : with all problems, at most the first 1,000 or so; a problem's row is the 0-based event,
        and for ``.jsonl.zst`` its message gives the line and the byte of the uncompressed text at which that
        begins.
    InvalidValue : the file's name ends in something else.

    Notes
    -----
    O(events + content); a line may have 4 MiB.
    """
    check_trace_name(path)
    log = ProblemLog()
    collector = Collector(path.name, log)
    if not path.is_file():
        log.add(path.name, None, "is not a regular file" if path.exists() else "does not exist")
    else:
        try:
            if path.name.endswith(_PARQUET):
                _read_parquet(path, collector, log)
            else:
                _read_lines(path, collector, log)
        except (pa.ArrowException, OSError) as error:
            log.add(path.name, None, f"cannot be read: {error_text(error)}")
    collector.check_rings()
    if log:
        raise InputRejected(log.problems())
    return collector.table()


def check_trace_name(path: Path) -> None:
    """Refuse a file whose name does not say in which form a trace is in it.

    Raises
    ------
    InvalidValue
    """
    if not path.name.endswith((_JSONL, _PARQUET)):
        raise InvalidValue("path", str(path), f"a file whose name ends in {_JSONL} or {_PARQUET}")


def _read_lines(path: Path, collector: Collector, log: ProblemLog) -> None:
    decoder = msgspec.json.Decoder(Event)
    row = -1
    for row, (start, line) in enumerate(_lines(path, log)):
        if len(log) >= MAX_PROBLEMS:
            log.add(path.name, None, f"has more problems: reading stopped at line {row + 1:,}, byte {start:,}")
            return
        where = f" (line {row + 1:,}, byte {start:,})"
        try:
            event = decoder.decode(line)
            again = repeated_key(line, event)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            log.add(path.name, None, f"is not an event: {error_text(error)}{where}", row)
            continue
        if again is not None:
            log.add(path.name, None, f"has the key {shown(again)} twice in one object{where}", row)
            continue
        collector.add(event, row, where)
    if row < 0 and not log:
        log.add(path.name, None, "holds no event")


def _lines(path: Path, log: ProblemLog) -> Iterator[tuple[int, bytes]]:
    """Each line without its newline, and the byte of the uncompressed text at which it begins."""
    start = 0
    rest = bytearray()
    for data in _decompressed(path, log):
        rest += data
        lines: list[bytearray] = []
        if b"\n" in data:
            *lines, rest = rest.split(b"\n")
        for line in (*lines, rest):
            if len(line) > MAX_LINE_BYTES:
                log.add(path.name, None, f"the line at byte {start:,} is longer than {MAX_LINE_BYTES:,} bytes")
                return
            if line is not rest:
                yield start, bytes(line)
                start += len(line) + 1
    if rest:
        yield start, bytes(rest)


def _decompressed(path: Path, log: ProblemLog) -> Iterator[bytes]:
    """The text of all zstd frames, in pieces.

    ``stream_reader`` would do this too, but says nothing when the file ends inside a frame or goes on after
    it.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    frame = None
    frame_start = position = 0
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            position += len(chunk)
            while chunk:
                if frame is None:
                    frame, frame_start = decompressor.decompressobj(), position - len(chunk)
                try:
                    data = frame.decompress(chunk)
                except zstandard.ZstdError as error:
                    log.add(
                        path.name,
                        None,
                        f"the zstd frame that begins at byte {frame_start:,} of the file is damaged, or is "
                        f"none, near byte {position - len(chunk):,}: {error_text(error)}",
                    )
                    return
                if data:
                    yield data
                chunk = b""
                if frame.eof:
                    chunk, frame = frame.unused_data, None
    if frame is not None:
        log.add(
            path.name,
            None,
            f"is cut off at byte {position:,}, in the zstd frame that begins at byte {frame_start:,}",
        )
    elif not position:
        log.add(path.name, None, "is empty")


def _read_parquet(path: Path, collector: Collector, log: ProblemLog) -> None:
    with pq.ParquetFile(path) as parquet:
        names = parquet.schema_arrow.names
        for name in _REQUIRED:
            if name not in names:
                log.add(path.name, name, "the column is missing")
        for name in dict.fromkeys(names):
            if name not in _SCHEMA.names:
                log.add(path.name, None, f"has a column {shown(name)}, which traces do not have")
            elif names.count(name) > 1:
                log.add(path.name, name, "the file has this column more than once")
        if log:
            return
        if not parquet.metadata.num_rows:
            log.add(path.name, None, "holds no event")
            return
        row = 0
        for batch in parquet.iter_batches(_ROWS):
            for values in _rows_of_batch(batch):
                if len(log) >= MAX_PROBLEMS:
                    log.add(path.name, None, f"has more problems: reading stopped at row {row:,}")
                    return
                try:
                    collector.add(msgspec.convert(values, Event), row, "")
                except msgspec.ValidationError as error:
                    log.add(path.name, None, f"is not an event: {error_text(error)}", row)
                row += 1


def _rows_of_batch(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    time = batch.column("time")
    per_second = 10**6
    if isinstance(time.type, pa.TimestampType):
        per_second = PER_SECOND[time.type.unit]
        batch = batch.set_column(batch.schema.get_field_index("time"), "time", time.cast(pa.int64()))
    rows: list[dict[str, Any]] = batch.to_pylist()
    if per_second != 10**6:
        for values in rows:
            if values["time"] is not None:
                values["time"] = values["time"] * 10**6 // per_second
    return rows


# -- writing ------------------------------------------------------------------------------------------


def write_trace(path: Path, trace: TraceTable) -> None:
    """Write a trace, whole or not at all; a file of that name is replaced.

    Equal traces give equal bytes. The content of a manifest is written with the first push of it.

    Parameters
    ----------
    path : ends in ``.jsonl.zst`` or ``.parquet``.

    Raises
    ------
    InvalidValue : the name ends in something else.
    OSError : the disk is full, or the directory cannot be written; the old file, if any, is as it was.
    """
    check_trace_name(path)
    events = _events(trace)
    with whole_file(path) as file:
        if path.name.endswith(_PARQUET):
            with pq.ParquetWriter(file, _SCHEMA, compression="zstd") as parquet:
                while chunk := list(islice(events, _ROWS)):
                    rows = [msgspec.to_builtins(event) for event in chunk]
                    for values, event in zip(rows, chunk, strict=True):
                        values["time"] = event.time
                    parquet.write_batch(pa.RecordBatch.from_pylist(rows, _SCHEMA))
        else:
            encoder = msgspec.json.Encoder()
            with zstandard.ZstdCompressor(level=6, write_checksum=True).stream_writer(file, closefd=False) as stream:
                for event in events:
                    event.time = _iso(event.time)
                    stream.write(encoder.encode(event) + b"\n")


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes its name only once it is complete and on disk.

    Examples
    --------
    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> with whole_file(directory / "a") as file:
    ...     _ = file.write(b"all of it")
    >>> [path.name for path in directory.iterdir()]
    ['a']
    """
    # In the same directory, so that the renaming stays within one file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    # Without this a crash may bring back the old name.
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _iso(time: int | str) -> str:
    moment = _EPOCH + timedelta(microseconds=int(time))
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _events(trace: TraceTable) -> Iterator[Event]:
    """The events in order, ``time`` as a whole number."""
    repositories, tags, platforms = trace.repositories, (*trace.tags, None), (*trace.platforms, None)
    content = _Content(trace)
    manifests = content.digests
    told: set[int] = set()
    columns = (
        trace.time,
        trace.batch,
        trace.op,
        trace.repository,
        trace.tag,
        trace.platform,
        trace.manifest,
        trace.previous,
        trace.blob,
        trace.upload,
        trace.amount,
    )
    for time, batch, op, repository, tag, platform, manifest, previous, blob, upload, amount in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        # NULL is -1, the last place, which holds None.
        event = Event(
            time=time,
            batch=batch,
            op=OP_NAMES[op],
            repository=repositories[repository],
            tag=tags[tag],
            platform=platforms[platform],
            manifest=manifests[manifest],
            previous=manifests[previous],
            blob=content.blob(blob),
            upload=None if upload == NULL else upload,
            bytes=amount if op == TraceOp.APPEND else None,
        )
        if op == TraceOp.PUSH and manifest not in told:
            told.add(manifest)
            content.tell(manifest, event)
        yield event


class _Content:
    """The content of a trace as the parts of events."""

    def __init__(self, trace: TraceTable) -> None:
        blobs, manifests = trace.blobs, trace.manifests
        self._media_types = (*trace.media_types, None)
        self._platforms = (*trace.platforms, None)
        self._blobs = [
            Descriptor(digest, None if size == NULL else size, self._media_types[media_type])
            for digest, size, media_type in zip(
                format_digests(blobs.digest), blobs.size.tolist(), blobs.media_type.tolist(), strict=True
            )
        ]
        self.digests = [*format_digests(manifests.digest), None]
        self._manifests = manifests

    def blob(self, row: int) -> Descriptor | None:
        """An uploaded blob, layer or config; None for NULL."""
        return None if row == NULL else self._blobs[row]

    def tell(self, row: int, event: Event) -> None:
        """Put the content of a manifest into the event that pushes it first."""
        manifests = self._manifests
        size = int(manifests.size[row])
        event.size = None if size == NULL else size
        event.media_type = self._media_types[manifests.media_type[row]]
        event.config = self.blob(int(manifests.config[row]))
        event.subject = self.digests[manifests.subject[row]]
        span = slice(manifests.indptr[row], manifests.indptr[row + 1])
        targets = manifests.target[span].tolist()
        if manifests.kind[row] == Kind.IMAGE:
            event.layers = [self._blobs[target] for target in targets]
        elif manifests.kind[row] == Kind.INDEX:
            platforms = manifests.target_platform[span].tolist()
            event.manifests = [
                self._child(target, platform) for target, platform in zip(targets, platforms, strict=True)
            ]

    def _child(self, row: int, platform: int) -> Descriptor:
        size = int(self._manifests.size[row])
        digest = self.digests[row]
        assert digest is not None
        return Descriptor(
            digest,
            None if size == NULL else size,
            self._media_types[self._manifests.media_type[row]],
            self._platforms[platform],
        )
