"""What a measurement of content gives. Sizes and counts depend on the content alone; the rest is not compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from quotasim.errors import InvalidValue

__all__ = ["ContentReport", "LayerContent", "Level", "LevelContent", "Stage"]

Level = Literal["layer", "file", "chunk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelContent:
    """Deduplication at one level.

    Attributes
    ----------
    level : ``layer``: blobs as they are stored; ``file``: contents of regular files; ``chunk``: content-defined chunks
        of each file.
    count, unique_count : objects, and those of different sha256.
    total_bytes, unique_bytes : bytes of them; of layers as stored, of files and chunks uncompressed.
    plain_bytes : what was given to zstd, each unique object once; of layers the uncompressed archive. None where
        nothing was compressed.
    compressed_bytes : what became of it, a zstd frame for each object.
    """

    level: Level
    count: int
    unique_count: int
    total_bytes: int
    unique_bytes: int
    plain_bytes: int | None = None
    compressed_bytes: int | None = None

    @property
    def dedup_ratio(self) -> float | None:
        """Total by unique bytes, at least 1; None where there are none."""
        return self.total_bytes / self.unique_bytes if self.unique_bytes else None

    @property
    def compression_ratio(self) -> float | None:
        """Plain by compressed bytes; None where nothing was compressed."""
        return self.plain_bytes / self.compressed_bytes if self.plain_bytes and self.compressed_bytes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContent:
    """One layer.

    Attributes
    ----------
    name : of its file, or where the layout has it.
    digest, size : of the blob as stored.
    mentions : how often the layout's images list it; 1 for a file. All totals of the report count it so often.
    tar_bytes : of the archive, uncompressed; None where it was not opened.
    files, file_bytes : its regular files, and the bytes of their contents, holes included; None where it was not
        opened. Hard links have no content of their own.
    ended : whether a block of zeros ended the archive; None where it was not opened. Layers of umoci have none; of a
        plain archive without a descriptor it may mean that the rest is missing.
    """

    name: str
    digest: str
    size: int
    mentions: int
    tar_bytes: int | None
    files: int | None
    file_bytes: int | None
    ended: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one step of the work took.

    Attributes
    ----------
    name : read, decompress, hash blobs, hash files, cut chunks, hash chunks, look up, or compress.
    bytes : that went into it; for the look-up, digests of 32 bytes each.
    seconds : of the clock, added up over all workers; a wait for the processor counts.
    """

    name: str
    bytes: int
    seconds: float

    @property
    def bytes_per_second(self) -> float | None:
        """None where it took no time."""
        return self.bytes / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentReport:
    """All of a measurement.

    Attributes
    ----------
    layers : in the order given.
    levels : those asked for, in the order layer, file, chunk.
    tar_bytes : uncompressed bytes of all archives that were opened, by mention.
    unique_tar_bytes : the same of distinct layers.
    workers : threads.
    seconds : from start to end.
    stages : those that took place, in their order.
    peak_memory_bytes : by how much the process's anonymous memory grew at most, looked at every 10 ms; None where the
        system does not say.
    """

    layers: tuple[LayerContent, ...]
    levels: tuple[LevelContent, ...]
    tar_bytes: int
    unique_tar_bytes: int
    workers: int = field(compare=False)
    seconds: float = field(compare=False)
    stages: tuple[Stage, ...] = field(compare=False)
    peak_memory_bytes: int | None = field(compare=False)

    def level(self, level: Level) -> LevelContent:
        """The figures of one level.

        Raises
        ------
        InvalidValue : it was not asked for.
        """
        for found in self.levels:
            if found.level == level:
                return found
        raise InvalidValue("level", level, " or ".join(found.level for found in self.levels))

    def stage(self, name: str) -> Stage:
        """The figures of one stage.

        Raises
        ------
        InvalidValue : it did not take place.
        """
        for found in self.stages:
            if found.name == name:
                return found
        raise InvalidValue("name", name, " or ".join(found.name for found in self.stages))
