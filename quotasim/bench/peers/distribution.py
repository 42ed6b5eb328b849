"""The collector of Debian's docker-registry on the same graph, laid out as files: for scale, since it reads files."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quotasim.bench.workload import Workload
from quotasim.model.oci import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST

PROGRAM = "docker-registry"

_SUMMARY = re.compile(r"^(\d+) blobs marked, (\d+) blobs and (\d+) manifests eligible for deletion$", re.M)
_TINY = b"\n"


@dataclass(frozen=True, slots=True)
class Tree:
    """A registry's tree on disk.

    Attributes
    ----------
    configuration : the program's configuration file.
    manifests, blobs : how many of them are linked, and stored.
    """

    configuration: Path
    manifests: int
    blobs: int


def write_tree(workload: Workload, kept: npt.NDArray[np.bool_], directory: Path) -> Tree:
    """Write the workload's images as docker-registry would have stored them, with a byte for each layer.

    Parameters
    ----------
    kept : bool[M], the images whose link is there; of the others the bytes alone are left.

    Notes
    -----
    Layers have the workload's digests, which are not those of their bytes: the collector never reads them. Each image
    has the same config, and its own digest is that of its text.
    """
    root = directory / "storage" / "docker" / "registry" / "v2"
    blobs, repositories = root / "blobs" / "sha256", root / "repositories"
    layers = [row.tobytes().hex() for row in workload.blob_digest]
    for number in np.unique(workload.target).tolist():
        _write(blobs / layers[number][:2] / layers[number] / "data", _TINY)
    config = hashlib.sha256(_TINY).hexdigest()
    _write(blobs / config[:2] / config / "data", _TINY)
    for image, namespace in enumerate(workload.namespace.tolist()):
        named = workload.target[workload.indptr[image] : workload.indptr[image + 1]].tolist()
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": f"sha256:{config}", "size": len(_TINY)},
            "layers": [
                {"mediaType": OCI_LAYER_GZIP, "digest": f"sha256:{layers[number]}", "size": 1} for number in named
            ],
            "annotations": {"number": str(image)},
        }
        text = json.dumps(document).encode()
        digest = hashlib.sha256(text).hexdigest()
        _write(blobs / digest[:2] / digest / "data", text)
        repository = repositories / f"namespace-{namespace:04}" / "app"
        if kept[image]:
            link = repository / "_manifests" / "revisions" / "sha256" / digest / "link"
            _write(link, f"sha256:{digest}".encode())
            # What makes a repository of a directory.
            _write(repository / "_layers" / "sha256" / config / "link", f"sha256:{config}".encode())
    configuration = directory / "config.json"
    storage = {"filesystem": {"rootdirectory": str(directory / "storage")}, "delete": {"enabled": True}}
    configuration.write_text(json.dumps({"version": 0.1, "log": {"level": "error"}, "storage": storage}))
    stored = np.unique(workload.target).size + workload.manifest_count + 1
    return Tree(configuration, int(kept.sum()), stored)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def collect(tree: Tree) -> tuple[int, int]:
    """Run ``garbage-collect --dry-run``; returns (blobs marked, blobs that would go).

    Raises
    ------
    subprocess.CalledProcessError : the program fails.
    """
    program = shutil.which(PROGRAM)
    assert program is not None
    command = [program, "garbage-collect", "--dry-run", str(tree.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = _SUMMARY.search(done.stdout)
    assert found is not None, done.stdout[-200:]
    return int(found[1]), int(found[2])
