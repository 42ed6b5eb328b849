"""OCI image layouts of real bytes: each blob is made, hashed, counted and written in one pass.

After the image-spec v1.1 (image-layout.md, config.md). ``skopeo copy oci:DIRECTORY:TAG docker://...`` pushes an image.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quotasim.errors import InvalidValue
from quotasim.model.oci import (
    OCI_CONFIG,
    OCI_INDEX,
    Blob,
    Image,
    Index,
    is_foreign,
    parse_digest,
    parse_platform,
    parse_tag,
)
from quotasim.payload.content import FilePayload
from quotasim.payload.layers import Compression, LayerPayload, compressed_pieces, tar_pieces

__all__ = ["ImagePayload", "image_payload", "write_layer", "write_layout"]

REF_NAME: Final = "org.opencontainers.image.ref.name"

_EPOCH: Final = "1970-01-01T00:00:00Z"
_TAR_BYTES: Final = 512 + 2 * 512
"""What the archive of one file has beside the file: its header and the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePayload:
    """An image of real bytes.

    Attributes
    ----------
    layers : the lowest first. Equal layers are one blob, in one image and across images.
    platform : ``os/architecture[/variant]``: said by the config, and by the index where there is one.

    Raises
    ------
    InvalidValue : an attribute is not of that form.
    """

    layers: tuple[LayerPayload, ...] = ()
    platform: str = "linux/amd64"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not all(isinstance(layer, LayerPayload) for layer in self.layers):
            raise InvalidValue("layers", self.layers, "LayerPayloads")
        parse_platform(self.platform)


def image_payload(
    image: Image, *, scale: float = 1.0, ratio: float = 1.0, compression: Compression = "gzip"
) -> ImagePayload:
    """Real bytes in place of a simulated image's: layers of about its sizes, shared where it shares them.

    A layer is seeded by its blob's digest alone, so that images which share a blob share the real one as well. Foreign
    layers, which nobody uploads, are left out.

    Parameters
    ----------
    image : whose layers' sizes are known.
    scale : every layer gets this share of its size; less than 1 makes a large image small.
    ratio : by how much the content compresses, 1 to 64: a layer has ``size * ratio`` bytes before compression.
    compression : ``gzip``, ``zstd`` or ``none``. With ``none`` and a ratio of 1 the size is met to the next multiple
        of 512, and is at least 2,048, an archive's least; a compressor adds its own.

    Raises
    ------
    InvalidValue : a layer without a size, or a scale that is not above 0.

    Examples
    --------
    >>> layers = [Blob.synthetic("base", 3_400_000), Blob.synthetic("app", 20_000)]
    >>> image = Image(layers, Blob.synthetic("config", 1_500))
    >>> [layer.content_bytes for layer in image_payload(image, scale=0.01, ratio=2.0).layers]
    [64928, 1]
    """
    if not scale > 0:
        raise InvalidValue("scale", scale, "above 0")
    layers = []
    for layer in image.layers:
        if is_foreign(layer.media_type):
            continue
        if layer.size is None:
            raise InvalidValue("layers", layer.digest, "of known sizes")
        size = max(1, round((layer.size * scale - _TAR_BYTES) * ratio))
        seed = int.from_bytes(parse_digest(layer.digest))
        file = FilePayload(name="data", size=size, seed=(seed,), ratio=ratio)
        layers.append(LayerPayload(files=(file,), compression=compression))
    platform = "linux/amd64" if image.platform is None else image.platform
    return ImagePayload(layers=tuple(layers), platform=platform)


def write_layer(directory: Path, layer: LayerPayload) -> tuple[Blob, str]:
    """Write a layer's blob into ``directory/blobs/sha256``, under its digest.

    Returns
    -------
    Its descriptor, and its diff ID: the digest of the uncompressed archive, as a config names it.

    Notes
    -----
    One pass: bytes are made, hashed twice, compressed and written as they come. A few MiB are held, whatever the size.
    """
    plain = hashlib.sha256()

    def hashed(pieces: Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
        for piece in pieces:
            plain.update(piece)
            yield piece

    if layer.compression == "none":
        blob = _write_blob(directory, tar_pieces(layer), layer.media_type)
        return blob, blob.digest
    pieces = compressed_pieces(hashed(tar_pieces(layer)), layer.compression, layer.level)
    blob = _write_blob(directory, pieces, layer.media_type)
    return blob, f"sha256:{plain.hexdigest()}"


def write_layout(
    directory: str | os.PathLike[str], images: Mapping[str, ImagePayload | Sequence[ImagePayload]]
) -> dict[str, Image | Index]:
    """Write images as an OCI image layout, whole or not at all.

    Parameters
    ----------
    directory : to be made; it may exist if it is empty.
    images : by tag. A sequence of images, of different platforms, becomes an image index.

    Returns
    -------
    What each tag points to: digests, sizes and descriptors are those of the bytes written.

    Raises
    ------
    InvalidReference, InvalidValue : a name is not a tag; the directory holds something; a sequence has two images of
        one platform.
    OSError : it cannot be written; nothing is left then.

    Notes
    -----
    Equal images give equal bytes in every file, with one version of zlib and libzstd. A layer that several images have
    is made once.

    Examples
    --------
    >>> from quotasim.payload import random_layer
    >>> place = Path(tempfile.mkdtemp()) / "layout"
    >>> written = write_layout(place, {"v1": ImagePayload(layers=(random_layer(1, 100_000, compression="zstd"),))})
    >>> layer = written["v1"].layers[0]
    >>> layer.size == (place / "blobs" / "sha256" / layer.digest.removeprefix("sha256:")).stat().st_size
    True
    """
    place = Path(directory)
    for tag in images:
        parse_tag(tag)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InvalidValue("directory", str(place), "absent or empty")
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        written = _Writer(building).write(images)
        building.chmod(0o755)
        # A directory takes the place of an empty one in one step.
        os.replace(building, place)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return written


class _Writer:
    """Writes one layout, each layer once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._layers: dict[LayerPayload, tuple[Blob, str]] = {}
        (directory / "blobs" / "sha256").mkdir(parents=True)

    def write(self, images: Mapping[str, ImagePayload | Sequence[ImagePayload]]) -> dict[str, Image | Index]:
        written: dict[str, Image | Index] = {}
        for tag, payload in images.items():
            if isinstance(payload, ImagePayload):
                written[tag] = self._image(payload)
            else:
                platforms = [image.platform for image in payload]
                if len(set(platforms)) < len(platforms):
                    raise InvalidValue("images", platforms, "of different platforms within one index")
                written[tag] = self._document(Index([self._image(image) for image in payload]))
        # The index of a layout names tags by an annotation, which `Index` has none of for its children.
        mentions = [
            {
                "mediaType": manifest.media_type,
                "digest": manifest.digest,
                "size": manifest.size,
                "annotations": {REF_NAME: tag},
                **({} if manifest.platform is None else {"platform": parse_platform(manifest.platform)}),
            }
            for tag, manifest in written.items()
        ]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": mentions}
        (self._directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        (self._directory / "index.json").write_bytes(_json(index))
        return written

    def _image(self, payload: ImagePayload) -> Image:
        layers = [self._layer(layer) for layer in payload.layers]
        config = {
            "created": _EPOCH,
            **parse_platform(payload.platform),
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [{"created": _EPOCH, "created_by": "quotasim"} for _ in layers],
        }
        blob = _write_blob(self._directory, [_json(config)], OCI_CONFIG)
        image = Image([blob for blob, _ in layers], blob, platform=payload.platform)
        self._document(image)
        return image

    def _layer(self, layer: LayerPayload) -> tuple[Blob, str]:
        if layer not in self._layers:
            self._layers[layer] = write_layer(self._directory, layer)
        return self._layers[layer]

    def _document(self, manifest: Image | Index) -> Image | Index:
        content = manifest.manifest_bytes()
        assert content is not None
        blob = _write_blob(self._directory, [content], manifest.media_type)
        assert blob.digest == manifest.digest
        return manifest


def _write_blob(directory: Path, pieces: Iterable[bytes | memoryview], media_type: str) -> Blob:
    """Write a blob under its digest, which is known only once it is written."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(dir=blobs)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                _write_all(file.fileno(), piece)
            os.fchmod(file.fileno(), 0o644)
        os.replace(name, blobs / digest.hexdigest())
    except BaseException:
        os.unlink(name)
        raise
    return Blob(f"sha256:{digest.hexdigest()}", size, media_type)


def _write_all(file: int, piece: bytes | memoryview) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(file, rest) :]


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
