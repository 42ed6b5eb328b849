"""Layers of real bytes: tar archives with headers that say nothing about when or where, compressed or not."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import zstandard

from quotasim.errors import InvalidValue
from quotasim.model.oci import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from quotasim.payload.content import FilePayload, Pool, check_share, file_pieces, generator, is_shared
from quotasim.units import whole_number

__all__ = ["Compression", "LayerPayload", "compressed_pieces", "layer_pieces", "random_layer", "tar_pieces"]

Compression = Literal["none", "gzip", "zstd"]

MEDIA_TYPES: Final[dict[Compression, str]] = {"none": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}

_LEVELS: Final[dict[Compression, int]] = {"none": 0, "gzip": 6, "zstd": 3}
_GZIP: Final = 31
_POOLED, _OWN = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPayload:
    """A layer: equal payloads are the same blob.

    Attributes
    ----------
    files : in their order in the archive.
    compression : ``gzip``, ``zstd`` or ``none``.
    level : the compressor's; None is its usual one, 6 and 3.

    Raises
    ------
    InvalidValue : an unknown compression, two files of one name, or something that is not a file.
    """

    files: tuple[FilePayload, ...] = ()
    compression: Compression = "gzip"
    level: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(self.files))
        if not all(isinstance(file, FilePayload) for file in self.files):
            raise InvalidValue("files", self.files, "FilePayloads")
        if self.compression not in get_args(Compression):
            raise InvalidValue("compression", self.compression, "gzip, zstd or none")
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            again = next(name for name in names if names.count(name) > 1)
            raise InvalidValue("files", again, "of different names")

    @property
    def media_type(self) -> str:
        """The media type of its descriptor."""
        return MEDIA_TYPES[self.compression]

    @property
    def content_bytes(self) -> int:
        """Bytes of its files, without the archive's headers."""
        return sum(file.size for file in self.files)


def random_layer(
    seed: int,
    size: int,
    *,
    files: int = 1,
    ratio: float = 1.0,
    file_duplication: float = 0.0,
    chunk_duplication: float = 0.0,
    pool: Pool | None = None,
    compression: Compression = "gzip",
) -> LayerPayload:
    """A layer of files of one size, some of them, or of their content, repeated from a pool.

    Parameters
    ----------
    seed : layers of one seed and size have the same files of their own.
    size : bytes of all files; the first ``size % files`` files have one byte more than the others.
    files : how many.
    ratio : by how much the content compresses, 1 to 64.
    file_duplication : the share of files that are drawn whole from the pool: any two layers that draw the same one hold
        equal files, if their files have one size.
    chunk_duplication : the share of the extents of the other files that are drawn from the pool.
    pool : a `Pool()` by default. It has as many whole files as extents.
    compression : ``gzip``, ``zstd`` or ``none``.

    Raises
    ------
    InvalidValue : an argument is not of that form.

    Examples
    --------
    The layer of the FAQ of Azure Container Registry, 32 files of 32 MiB that nothing compresses or shares:

    >>> layer = random_layer(1, 2**30, files=32)
    >>> len(layer.files), layer.files[31].size, layer.content_bytes
    (32, 33554432, 1073741824)
    """
    expected = "a whole number from 0 on"
    whole_number(seed, name="seed", expected=expected)
    whole_number(size, name="size", expected=expected)
    if whole_number(files, name="files", expected="a whole number from 1 on") < 1:
        raise InvalidValue("files", files, "a whole number from 1 on")
    check_share("file_duplication", file_duplication)
    check_share("chunk_duplication", chunk_duplication)
    pool = Pool() if pool is None else pool
    each, longer = divmod(size, files)
    draws = (generator("files", seed).random_raw(files) % np.uint64(pool.extents)).tolist()
    made = []
    for index, drawn in enumerate(draws):
        shared = is_shared(index, file_duplication)
        made.append(
            FilePayload(
                name=f"data/{index:06}",
                size=each + (index < longer),
                seed=(_POOLED, pool.seed, drawn) if shared else (_OWN, seed, index),
                ratio=ratio,
                pool_share=0.0 if shared else chunk_duplication,
                pool=pool if chunk_duplication and not shared else None,
            )
        )
    return LayerPayload(files=tuple(made), compression=compression)


def tar_pieces(layer: LayerPayload) -> Iterator[bytes | memoryview]:
    """The layer's archive, uncompressed, in pieces of at most 1 MiB.

    Every header has mode 0644, owner 0:0 and time 0. Ends with the two blocks of zeros and nothing beyond them.

    Examples
    --------
    >>> import io
    >>> layer = LayerPayload(files=(FilePayload(name="etc/data", size=3, seed=(1,)),))
    >>> with tarfile.open(fileobj=io.BytesIO(b"".join(tar_pieces(layer)))) as archive:
    ...     print(archive.getnames(), archive.getmember("etc/data").size)
    ['etc/data'] 3
    """
    for file in layer.files:
        member = tarfile.TarInfo(file.name)
        member.size = file.size
        yield member.tobuf(tarfile.PAX_FORMAT)
        yield from file_pieces(file)
        if padding := -file.size % tarfile.BLOCKSIZE:
            yield bytes(padding)
    yield bytes(2 * tarfile.BLOCKSIZE)


def compressed_pieces(
    pieces: Iterable[bytes | memoryview], compression: Compression, level: int | None = None
) -> Iterator[bytes | memoryview]:
    """The pieces, compressed as one gzip member or one zstd frame. ``none`` gives them as they are.

    Equal input gives equal output with one version of zlib or libzstd; the header of gzip has no time.

    Examples
    --------
    >>> zlib.decompress(b"".join(compressed_pieces([b"one", b"two"], "gzip")), 31)
    b'onetwo'
    """
    if compression == "none":
        yield from pieces
        return
    chosen = _LEVELS[compression] if level is None else level
    if compression == "gzip":
        gzip = zlib.compressobj(chosen, zlib.DEFLATED, _GZIP)
        for piece in pieces:
            if data := gzip.compress(piece):
                yield data
        yield gzip.flush()
        return
    zstd = zstandard.ZstdCompressor(level=chosen, write_checksum=True).compressobj()
    for piece in pieces:
        if data := zstd.compress(piece):
            yield data
    yield zstd.flush()


def layer_pieces(layer: LayerPayload) -> Iterator[bytes | memoryview]:
    """The layer's blob, as it is pushed, in pieces."""
    return compressed_pieces(tar_pieces(layer), layer.compression, layer.level)
