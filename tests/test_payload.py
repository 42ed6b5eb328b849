"""Real bytes: seeded, of set compressibility and duplication, in tars and layouts that other programs accept."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import quotasim as qs
from quotasim.errors import InvalidReference, InvalidValue
from quotasim.model.oci import DOCKER_FOREIGN_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from quotasim.payload import (
    FilePayload,
    ImagePayload,
    LayerPayload,
    Pool,
    file_pieces,
    image_payload,
    layer_pieces,
    random_layer,
    tar_pieces,
    write_layout,
)
from quotasim.payload.content import PIECE_BYTES

from .distribution.server import RealRegistry, scratch
from .tools import find_tool, run_tool

MIB = 2**20
PLAIN = {"gzip": gzip.decompress, "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)}


def joined(pieces) -> bytes:
    return b"".join(pieces)


def blob_path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


class TestContent:
    def test_pinned_bytes(self):
        """They never change: not with numpy, not with the machine, not with this package."""
        pool = Pool(seed=3, extents=4, extent_bytes=8192)
        file = FilePayload(name="a", size=100_000, seed=(1, 2), ratio=2.5, pool_share=0.5, pool=pool)
        digest = hashlib.sha256(joined(file_pieces(file))).hexdigest()
        assert digest == "b66a93c271737c300147e33f1fd6b3cd0efa95533427b097d4f38a3334e39e45"

    @pytest.mark.parametrize("ratio", [1.0, 3.0])
    @pytest.mark.parametrize("share", [0.0, 0.5])
    def test_a_file_is_as_long_as_it_says_in_bounded_pieces(self, ratio, share):
        for size in (0, 1, 4096, PIECE_BYTES - 1, 2 * PIECE_BYTES + 5):
            file = FilePayload(name="a", size=size, seed=(1,), ratio=ratio, pool_share=share, pool=Pool())
            pieces = [len(piece) for piece in file_pieces(file)]
            assert sum(pieces) == size
            assert max(pieces, default=1) <= PIECE_BYTES

    def test_a_shorter_file_of_one_seed_is_the_beginning_of_a_longer_one(self):
        short, long = (joined(file_pieces(FilePayload(name="a", size=size, seed=(9,)))) for size in (70_000, 3 * MIB))
        assert long.startswith(short)
        assert joined(file_pieces(FilePayload(name="a", size=70_000, seed=(10,)))) != short

    @pytest.mark.parametrize(("ratio", "tolerance"), [(1.0, 0.01), (1.5, 0.02), (2.0, 0.03), (4.0, 0.04), (8.0, 0.05)])
    @pytest.mark.parametrize("compression", ["gzip", "zstd"])
    def test_the_compression_ratio_is_the_one_asked_for(self, ratio, tolerance, compression):
        layer = random_layer(1, 4 * MIB, files=2, ratio=ratio, compression=compression)
        assert 4 * MIB / len(joined(layer_pieces(layer))) == pytest.approx(ratio, rel=tolerance)

    def test_shares_of_the_pool_are_exact_to_one_extent(self):
        pool = Pool(extents=5, extent_bytes=4096)
        shared = {
            joined(file_pieces(FilePayload(name="p", size=4096 * 40, seed=(seed,), pool_share=1.0, pool=pool)))
            for seed in range(3)
        }
        known = {whole[start : start + 4096] for whole in shared for start in range(0, len(whole), 4096)}
        assert len(known) == 5
        for share in (0.1, 0.25, 0.7):
            file = FilePayload(name="a", size=4096 * 40, seed=(99,), pool_share=share, pool=pool)
            content = joined(file_pieces(file))
            found = sum(content[start : start + 4096] in known for start in range(0, len(content), 4096))
            assert found == int(40 * share)

    def test_files_are_drawn_whole_from_the_pool(self):
        one, other = (
            random_layer(seed, 200 * 1000, files=200, file_duplication=0.4, pool=Pool(extents=8)) for seed in (1, 2)
        )
        counts = {layer: sum(file.seed[0] == 0 for file in layer.files) for layer in (one, other)}
        assert set(counts.values()) == {80}
        contents = [{joined(file_pieces(file)) for file in layer.files} for layer in (one, other)]
        assert len(contents[0] & contents[1]) == 8
        assert len(contents[0] | contents[1]) == 8 + 2 * 120

    @pytest.mark.parametrize(
        ("name", "make"),
        [
            ("ratio", lambda: random_layer(1, 10, ratio=0.5)),
            ("ratio", lambda: random_layer(1, 10, ratio=float("nan"))),
            ("ratio", lambda: random_layer(1, 10, ratio=65)),
            ("seed", lambda: random_layer(-1, 10)),
            ("size", lambda: random_layer(1, 1.5)),
            ("files", lambda: random_layer(1, 10, files=0)),
            ("file_duplication", lambda: random_layer(1, 10, file_duplication=1.1)),
            ("chunk_duplication", lambda: random_layer(1, 10, chunk_duplication=-0.1)),
            ("compression", lambda: random_layer(1, 10, compression="xz")),
            ("extents", lambda: Pool(extents=0)),
            ("extent_bytes", lambda: Pool(extent_bytes=5000)),
            ("name", lambda: FilePayload(name="/etc", size=1, seed=(1,))),
            ("seed", lambda: FilePayload(name="a", size=1, seed=())),
            ("pool", lambda: FilePayload(name="a", size=1, seed=(1,), pool_share=0.5)),
            ("files", lambda: LayerPayload(files=(FilePayload(name="a", size=1, seed=(1,)),) * 2)),
            ("layers", lambda: ImagePayload(layers=(1,))),
        ],
    )
    def test_wrong_arguments_are_named(self, name, make):
        with pytest.raises(InvalidValue) as caught:
            make()
        assert caught.value.name == name


class TestLayers:
    @given(st.lists(st.integers(0, 3000), max_size=6))
    def test_the_archive_holds_the_files_and_nothing_of_time_or_place(self, sizes):
        files = tuple(FilePayload(name=f"d/{row}", size=size, seed=(row,)) for row, size in enumerate(sizes))
        content = joined(tar_pieces(LayerPayload(files=files)))
        assert len(content) == sum(512 + -(-size // 512) * 512 for size in sizes) + 1024
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for file, member in zip(files, archive, strict=True):
                assert (member.name, member.size) == (file.name, file.size)
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
                assert archive.extractfile(member).read() == joined(file_pieces(file))

    def test_long_and_foreign_names_survive(self):
        names = ("x" * 300, "ä/ö", "deep/" * 60 + "file")
        layer = LayerPayload(files=tuple(FilePayload(name=name, size=1, seed=(1,)) for name in names))
        with tarfile.open(fileobj=io.BytesIO(joined(tar_pieces(layer)))) as archive:
            assert tuple(archive.getnames()) == names

    @pytest.mark.parametrize("compression", ["gzip", "zstd"])
    def test_compression_round_trip(self, compression):
        layer = random_layer(4, 300_000, files=3, ratio=2.0, compression=compression)
        assert PLAIN[compression](joined(layer_pieces(layer))) == joined(tar_pieces(layer))
        assert joined(layer_pieces(layer)) == joined(layer_pieces(layer))

    def test_other_programs_decompress_it(self, tmp_path):
        for compression, tool in (("gzip", "gzip"), ("zstd", "zstd")):
            layer = random_layer(4, 300_000, files=3, ratio=2.0, compression=compression)
            path = tmp_path / f"layer.{compression}"
            path.write_bytes(joined(layer_pieces(layer)))
            done = subprocess.run([find_tool(tool), "-dc", path], capture_output=True, check=False)
            assert (done.returncode, done.stdout) == (0, joined(tar_pieces(layer)))


class TestLayout:
    def test_descriptors_are_those_of_the_bytes(self, tmp_path):
        base = random_layer(1, 50_000, files=3)
        images = {
            "v1": ImagePayload(layers=(base, random_layer(2, 20_000, compression="zstd"))),
            "v2": ImagePayload(layers=(base, random_layer(3, 10_000, compression="none"))),
            "all": [ImagePayload(layers=(base,)), ImagePayload(layers=(base,), platform="linux/arm64/v8")],
        }
        place = tmp_path / "layout"
        written = write_layout(place, images)
        assert json.loads((place / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
        index = json.loads((place / "index.json").read_bytes())
        tags = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in index["manifests"]}
        assert {tag: entry["digest"] for tag, entry in tags.items()} == {
            tag: manifest.digest for tag, manifest in written.items()
        }
        sizes = {}
        for path in (place / "blobs" / "sha256").iterdir():
            content = path.read_bytes()
            assert hashlib.sha256(content).hexdigest() == path.name
            sizes[f"sha256:{path.name}"] = len(content)
        mentioned = set()
        for manifest in [written["v1"], written["v2"], *written["all"].manifests]:
            assert json.loads(blob_path(place, manifest.digest).read_bytes())["layers"]
            mentioned.add(manifest.digest)
            for blob in (manifest.config, *manifest.layers):
                assert sizes[blob.digest] == blob.size
                mentioned.add(blob.digest)
            config = json.loads(blob_path(place, manifest.config.digest).read_bytes())
            plain = []
            for layer in manifest.layers:
                content = blob_path(place, layer.digest).read_bytes()
                kind = {OCI_LAYER_GZIP: "gzip", OCI_LAYER_ZSTD: "zstd"}.get(layer.media_type)
                plain.append("sha256:" + hashlib.sha256(PLAIN[kind](content) if kind else content).hexdigest())
            assert config["rootfs"]["diff_ids"] == plain
        assert mentioned | {written["all"].digest} == set(sizes)
        assert written["v1"].layers[0] == written["v2"].layers[0]

    def test_equal_images_give_equal_files_in_every_process(self, tmp_path):
        code = (
            "import sys; from quotasim.payload import *; "
            "write_layout(sys.argv[1], {'v1': ImagePayload(layers=(random_layer(1, 9999, files=4, "
            "file_duplication=.5, chunk_duplication=.5),))})"
        )
        contents = []
        for seed in ("0", "77"):
            place = tmp_path / seed
            environment = os.environ | {"PYTHONHASHSEED": seed}
            subprocess.run([sys.executable, "-c", code, place], check=True, env=environment)
            contents.append({str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()})
        assert contents[0] == contents[1]
        assert len(contents[0]) == 5

    def test_what_fails_leaves_nothing(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "no space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("quotasim.payload.layout.os.write", full)
            with pytest.raises(OSError, match="no space"):
                write_layout(tmp_path / "layout", {"v1": ImagePayload(layers=(random_layer(1, 10),))})
        assert list(tmp_path.iterdir()) == []

    def test_a_directory_that_holds_something_is_left_alone(self, tmp_path):
        (tmp_path / "mine").write_text("keep")
        with pytest.raises(InvalidValue, match="absent or empty"):
            write_layout(tmp_path, {"v1": ImagePayload()})
        with pytest.raises(InvalidReference):
            write_layout(tmp_path / "layout", {"no tag": ImagePayload()})
        twice = [ImagePayload(), ImagePayload()]
        with pytest.raises(InvalidValue, match="different platforms"):
            write_layout(tmp_path / "layout", {"v1": twice})
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_simulated_images_share_real_blobs_as_they_share_simulated_ones(self, tmp_path):
        base, own = qs.Blob.synthetic("base", 100_000), qs.Blob.synthetic("own", 5_000)
        config = qs.Blob.synthetic("config", 100)
        foreign = qs.Blob.synthetic("windows", 10**9, DOCKER_FOREIGN_LAYER)
        one, other = qs.Image([foreign, base, own], config), qs.Image([base], config, platform="linux/arm64")
        made = {
            "one": image_payload(one, compression="none"),
            "other": image_payload(other, compression="none"),
        }
        written = write_layout(tmp_path / "layout", made)
        assert written["one"].layers[0] == written["other"].layers[0]
        assert [layer.size for layer in written["one"].layers] == [100_352, 5_120]
        assert written["other"].platform == "linux/arm64"
        with pytest.raises(InvalidValue, match="known sizes"):
            image_payload(qs.Image([qs.Blob(base.digest, None)], config, digest=base.digest))
        with pytest.raises(InvalidValue, match="scale"):
            image_payload(one, scale=0)

    def test_a_layer_is_never_whole_in_memory(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from quotasim.payload import *\n"
            "from quotasim.dedup.clock import PeakMemory\n"
            "place, layer = Path(sys.argv[1]), random_layer(2, 2**28, compression=sys.argv[2])\n"
            "write_layer(place, random_layer(1, 10_000))\n"
            "with PeakMemory() as memory: blob, _ = write_layer(place, layer)\n"
            "print(blob.size, memory.growth)"
        )
        for compression in ("none", "zstd"):
            command = [sys.executable, "-c", code, tmp_path, compression]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            size, growth = done.stdout.split()
            assert int(size) > 2**28
            if growth != "None":
                assert int(growth) < 2**25


class TestOtherPrograms:
    def test_skopeo_reads_and_pushes_it(self, tmp_path):
        base = random_layer(1, 50_000, files=3)
        place = tmp_path / "layout"
        written = write_layout(
            place,
            {
                "v1": ImagePayload(layers=(base, random_layer(2, 20_000, compression="zstd"))),
                "all": [ImagePayload(layers=(base,)), ImagePayload(layers=(base,), platform="linux/arm64")],
            },
        )
        seen = json.loads(run_tool("skopeo", "inspect", f"oci:{place}:v1"))
        assert seen["Layers"] == [layer.digest for layer in written["v1"].layers]
        assert seen["Digest"] == written["v1"].digest
        with scratch() as folder, RealRegistry(folder) as real:
            for tag in written:
                target = f"docker://127.0.0.1:{real.client.port}/team/app:{tag}"
                options = ("--all", "--preserve-digests", "--dest-tls-verify=false")
                run_tool("skopeo", "copy", *options, f"oci:{place}:{tag}", target)
            stored = real.disk()
        blobs = {
            blob.digest: blob.size
            for image in [written["v1"], *written["all"].manifests]
            for blob in (image.config, *image.layers)
        }
        manifests = {made.digest: made.size for made in (*written.values(), *written["all"].manifests)}
        assert {digest: len(content) for digest, content in stored.blobs.items()} == blobs | manifests

    def test_umoci_unpacks_it(self, tmp_path):
        layer = random_layer(1, 50_000, files=3)
        write_layout(tmp_path / "layout", {"v1": ImagePayload(layers=(layer,))})
        run_tool("umoci", "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:v1", tmp_path / "bundle")
        for file in layer.files:
            assert (tmp_path / "bundle" / "rootfs" / file.name).read_bytes() == joined(file_pieces(file))


def test_the_layer_of_the_faq_is_larger_than_it_holds():
    """32 files of random bytes: gzip makes them larger, which a quota sees."""
    layer = random_layer(1, 32 * 2**16, files=32)
    size = sum(len(piece) for piece in layer_pieces(layer))
    assert size > layer.content_bytes
    assert zlib.decompress(joined(layer_pieces(layer)), 31)[:512] == next(tar_pieces(layer))
