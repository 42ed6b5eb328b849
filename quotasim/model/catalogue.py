"""From the OCI objects that users make to rows of the catalogue."""

from __future__ import annotations

import numpy as np

from quotasim.kernels import NULL
from quotasim.model.content import Content, ManifestBatch
from quotasim.model.oci import Descriptor, Image, Index, Kind, Role


def add_manifest(content: Content, manifest: Image | Index) -> int:
    """Intern a manifest with all it names; returns its manifest row. Children at hand are interned first.

    A layer that occurs twice is one descriptor that is listed twice.

    Raises
    ------
    DigestConflict : a digest is known with another size, or this manifest with other content.

    Examples
    --------
    >>> from quotasim.model.oci import Blob
    >>> content = Content()
    >>> row = add_manifest(content, Image([Blob.synthetic("base", 10)], Blob.synthetic("config", 2)))
    >>> content.blob_count, content.targets(row).size
    (3, 2)
    """
    targets: list[int] = []
    roles: list[int] = []
    if isinstance(manifest, Image):
        if manifest.config is not None:
            config = manifest.config
            targets.append(content.add_blob(config.digest, config.size, config.media_type or ""))
            roles.append(Role.CONFIG)
        for layer in manifest.layers:
            targets.append(content.add_blob(layer.digest, layer.size, layer.media_type or ""))
            roles.append(Role.LAYER)
    else:
        for child in manifest.manifests:
            if not isinstance(child, Descriptor):
                add_manifest(content, child)
            targets.append(content.add_blob(child.digest, child.size, child.media_type))
            roles.append(Role.CHILD)
    own = content.add_blob(manifest.digest, manifest.size, manifest.media_type)
    subject = NULL
    if manifest.subject is not None:
        subject = content.add_blob(manifest.subject.digest, manifest.subject.size, manifest.subject.media_type)
    batch = ManifestBatch(
        blob=np.array([own], np.int32),
        kind=np.array([Kind.INDEX if isinstance(manifest, Index) else Kind.IMAGE], np.uint8),
        indptr=np.array([0, len(targets)], np.int64),
        target=np.array(targets, np.int32),
        role=np.array(roles, np.uint8),
        subject=np.array([subject], np.int32),
        platform=np.array([content.platforms.add(manifest.platform or "")]),
        artifact_type=np.array([content.artifact_types.add(manifest.artifact_type or "")]),
    )
    return int(content.add_manifests(batch)[0])


def children_first(content: Content, manifest: Image | Index) -> list[int]:
    """Return the manifest rows of an index's children at hand, innermost first, each once."""
    rows: dict[int, None] = {}
    for child in manifest.manifests if isinstance(manifest, Index) else ():
        if not isinstance(child, Descriptor):
            rows.update(dict.fromkeys(children_first(content, child)))
            rows[content.find_manifest(child.digest)] = None
    return list(rows)
