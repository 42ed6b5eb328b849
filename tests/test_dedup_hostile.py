"""What is no layer, or not the layer that it should be: rejected with its name, never measured short."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from quotasim.dedup import Chunking, Layer, Limits, layers_of, measure
from quotasim.errors import InputRejected, InvalidDigest, InvalidValue
from quotasim.model.oci import DOCKER_FOREIGN_LAYER, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from quotasim.payload import ImagePayload, layer_pieces, random_layer, tar_pieces, write_layout

from .test_dedup import BLOBS, COMPRESS, SMALL, archive, figures
from .tools import run_tool

FILES = [("a", tarfile.REGTYPE, b"one" * 400), ("b", tarfile.REGTYPE, b"two" * 700), ("c", tarfile.DIRTYPE, b"")]
WHOLE = archive(FILES, tarfile.USTAR_FORMAT)
END = 512 * (1 + 3 + 1 + 5 + 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


def measured(folder: Path, blob: bytes, **settings):
    path = folder / "layer"
    path.write_bytes(blob)
    return measure([path], chunking=SMALL, **settings)


def rejected(folder: Path, blob: bytes, **settings) -> str:
    with pytest.raises(InputRejected) as caught:
        measured(folder, blob, **settings)
    (problem,) = caught.value.problems
    assert problem.file == "layer"
    return problem.message


class TestCutOff:
    @pytest.mark.parametrize("compression", ["gzip", "zstd"])
    def test_every_beginning_of_a_compressed_layer_is_rejected(self, folder, compression):
        blob = COMPRESS[compression](WHOLE)
        assert measured(folder, blob).level("file").count == 2
        for length in range(len(blob)):
            message = rejected(folder, blob[:length])
            assert "cut off" in message or (length < 4 and "not a tar archive" in message)

    def test_a_plain_archive_is_rejected_or_said_to_have_no_end(self, folder):
        whole = measured(folder, WHOLE)
        (layer,) = whole.layers
        assert layer.ended
        for length in range(0, len(WHOLE), 64):
            try:
                report = measured(folder, WHOLE[:length])
            except InputRejected:
                # Within a header or a file.
                assert length % 512 or length < 512 * 4 or 512 * 5 <= length < 512 * 10, length
                assert "cut off" in rejected(folder, WHOLE[:length]) or length < 512
                continue
            assert report.layers[0].ended == (length >= END + 512)
            assert figures(report)["file"][2] == sum(
                len(content) for end, content in ((512 * 4, FILES[0][2]), (512 * 10, FILES[1][2])) if length > end - 512
            )

    def test_large_frames_too(self, folder):
        """Longer than any piece that is read, so that the end comes at every place of the loops."""
        for compression in ("gzip", "zstd"):
            blob = b"".join(layer_pieces(random_layer(1, 700_000, ratio=1.3, compression=compression)))
            assert measured(folder, blob).level("file").total_bytes == 700_000
            for length in (*range(2040, 2056), 2**18 - 1, 2**18, 2**18 + 1, len(blob) - 9, len(blob) - 1):
                assert "cut off" in rejected(folder, blob[:length])

    @pytest.mark.parametrize("compression", ["gzip", "zstd"])
    def test_what_follows_compressed_data_is_read_or_rejected(self, folder, compression):
        compress = COMPRESS[compression]
        assert "damaged" in rejected(folder, compress(WHOLE) + b"rubbish!")
        halves = compress(WHOLE[:700]) + compress(WHOLE[700:])
        assert figures(measured(folder, halves))["file"] == figures(measured(folder, WHOLE))["file"]


class TestDamage:
    @given(BLOBS, st.integers(0), st.integers(1, 255))
    def test_a_changed_byte_is_rejected_or_measured(self, folder, blob, place, change):
        changed = bytearray(blob)
        changed[place % len(blob)] ^= change
        try:
            measured(folder, bytes(changed), zstd_level=1, limits=Limits(archive_bytes=2**24))
        except InputRejected:
            return

    @given(st.binary(max_size=2000))
    def test_any_bytes_are_rejected_or_measured(self, folder, blob):
        for head in (b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", WHOLE[:512]):
            try:
                measured(folder, head + blob, limits=Limits(archive_bytes=2**24))
            except InputRejected:
                continue

    def test_a_damaged_header_does_not_end_the_archive(self, folder):
        """Tarfile's own iterator stops there without a word."""
        damaged = bytearray(WHOLE)
        damaged[4 * 512 + 10] ^= 1
        assert "byte 2,048 of the archive is damaged" in rejected(folder, bytes(damaged))

    def test_a_wrong_checksum_of_the_compressor_is_found(self, folder):
        blob = bytearray(gzip.compress(WHOLE))
        blob[-6] ^= 1
        assert "gzip data is damaged" in rejected(folder, bytes(blob))
        blob = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(WHOLE))
        blob[-1] ^= 1
        assert "zstd frame is damaged" in rejected(folder, bytes(blob))

    def test_a_negative_size(self, folder):
        member = tarfile.TarInfo("a")
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\xff" * 12
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        assert "negative size" in rejected(folder, bytes(header) + bytes(1024))

    def test_long_chains_of_extended_headers(self, folder):
        link = tarfile.TarInfo("././@LongLink")
        link.type, link.size = tarfile.GNUTYPE_LONGNAME, 2
        chain = (link.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 3000
        assert "damaged" in rejected(folder, WHOLE[:2048] + chain + WHOLE[2048:])
        assert "not a tar archive" in rejected(folder, chain + WHOLE)


class TestLimits:
    @pytest.mark.parametrize("compression", ["gzip", "zstd"])
    def test_a_bomb_stops_at_the_limit(self, folder, compression):
        bomb = COMPRESS[compression](archive([("a", tarfile.REGTYPE, bytes(2**26))]))
        assert len(bomb) < 2**17
        report = measured(folder, bomb, limits=Limits(archive_bytes=2**27))
        assert report.level("file").total_bytes == 2**26
        assert "the limit" in rejected(folder, bomb, limits=Limits(archive_bytes=2**25))
        assert "the limit" in rejected(folder, bomb, levels=["layer"], zstd_level=1, limits=Limits(archive_bytes=2**25))

    def test_a_header_that_says_it_is_huge_is_not_read(self, folder):
        for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            member = tarfile.TarInfo("a")
            member.type, member.size = kind, 2**40
            assert "the limit is 1,048,576" in rejected(folder, member.tobuf(tarfile.GNU_FORMAT) + bytes(2**12))

    def test_too_many_entries(self, folder):
        many = archive([(str(row), tarfile.DIRTYPE, b"") for row in range(100)])
        assert measured(folder, many, limits=Limits(members=100)).layers[0].files == 0
        assert "more than 99 entries" in rejected(folder, many, limits=Limits(members=99))

    def test_a_window_that_is_too_large(self, folder):
        parameters = zstandard.ZstdCompressionParameters(window_log=28)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        blob = compressor.compress(WHOLE) + compressor.flush()
        assert "zstd frame is damaged, or is none" in rejected(folder, blob)

    def test_limits_are_checked(self):
        with pytest.raises(InvalidValue, match="archive_bytes"):
            Limits(archive_bytes=-1)


class TestArchives:
    @pytest.mark.parametrize(
        "style", [("gnu",), ("posix", "0.0"), ("posix", "0.1"), ("posix", "1.0")], ids=lambda style: "-".join(style)
    )
    def test_sparse_files_are_what_they_hold(self, tmp_path, style):
        place = tmp_path / "root"
        place.mkdir()
        with (place / "sparse").open("wb") as file:
            for start in range(0, 50 * 2**16, 2**17):
                file.seek(start)
                file.write(b"data" * 2048)
            file.truncate(5 * 2**20)
        content = (place / "sparse").read_bytes()
        options = ["--sparse", f"--format={style[0]}", *[f"--sparse-version={version}" for version in style[1:]]]
        run_tool("tar", *options, "-cf", tmp_path / "layer", "-C", place, "sparse")
        if (tmp_path / "layer").stat().st_size > 2**21:
            pytest.skip("the file system of the test keeps no holes")
        (tmp_path / "other").write_bytes(archive([("dense", tarfile.REGTYPE, content)]))
        report = measure([tmp_path / "layer", tmp_path / "other"])
        assert report.level("file").dedup_ratio == 2.0
        assert report.level("file").unique_bytes == len(content)
        with pytest.raises(InputRejected, match="the limit"):
            measure([tmp_path / "layer"], limits=Limits(archive_bytes=2**22))

    def test_a_sparse_map_that_contradicts_itself(self, folder):
        for numbers in ("0,600,100,1", "0,99999", "500,10,400,1", "0,512,512,512"):
            file = io.BytesIO()
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                member = tarfile.TarInfo("a")
                member.size = 512
                member.pax_headers = {"GNU.sparse.map": numbers, "GNU.sparse.size": "1024", "GNU.sparse.major": "0"}
                tar.addfile(member, io.BytesIO(bytes(512)))
            assert "sparse file" in rejected(folder, file.getvalue())

    def test_links_and_devices_have_no_content(self, folder):
        kinds = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
        report = measured(folder, archive([("a", tarfile.REGTYPE, b"x"), *[("b", kind, b"") for kind in kinds]]))
        assert figures(report)["file"] == (1, 1, 1, 1)

    def test_names_lead_nowhere(self, folder):
        names = ("/etc/passwd", "../../../etc/passwd", "a\0b", "x" * 5000, "/dev/null")
        report = measured(folder, archive([(name, tarfile.REGTYPE, b"content") for name in names]))
        assert figures(report)["file"] == (5, 1, 35, 7)

    def test_all_problems_come_at_once_in_order(self, tmp_path):
        (tmp_path / "good").write_bytes(WHOLE)
        (tmp_path / "cut").write_bytes(WHOLE[:700])
        (tmp_path / "empty").write_bytes(b"")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to("good")
        names = ["cut", "good", "empty", "pipe", "link", "absent"]
        for workers in (1, 3):
            with pytest.raises(InputRejected) as caught:
                measure([tmp_path / name for name in names], workers=workers)
            assert [problem.file for problem in caught.value.problems] == ["cut", "empty", "pipe", "link", "absent"]


class TestLayout:
    @pytest.fixture
    def layout(self, tmp_path):
        place = tmp_path / "layout"
        base = random_layer(1, 50_000, files=3)
        images = {
            "v1": ImagePayload(layers=(base, random_layer(2, 20_000, compression="zstd"))),
            "v2": [ImagePayload(layers=(base,)), ImagePayload(layers=(base,), platform="linux/arm64")],
        }
        self.written = write_layout(place, images)
        return place

    def blob(self, layout, digest) -> Path:
        return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def add(self, layout, document, media_type=OCI_MANIFEST, **changes) -> str:
        """Add a manifest to the layout's index."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.blob(layout, digest).write_bytes(content)
        index = json.loads((layout / "index.json").read_bytes())
        entry = {"mediaType": media_type, "digest": digest, "size": len(content)} | changes
        index["manifests"].append(entry)
        (layout / "index.json").write_text(json.dumps(index))
        return digest

    def rejected(self, layout) -> str:
        with pytest.raises(InputRejected) as caught:
            measure([layout])
        return caught.value.problems[0].message

    def test_every_layer_once_with_its_mentions(self, layout):
        base, own = self.written["v1"].layers
        layers = {layer.digest: layer for layer in layers_of(layout)}
        assert {digest: layer.mentions for digest, layer in layers.items()} == {base.digest: 3, own.digest: 1}
        report = measure([layout])
        level = report.level("layer")
        assert (level.count, level.total_bytes) == (4, 3 * base.size + own.size)
        assert (level.unique_count, level.unique_bytes) == (2, base.size + own.size)
        # Given twice, it has everything twice.
        assert measure([layout, layout]).level("layer").unique_bytes == level.unique_bytes

    def test_a_layer_with_another_digest(self, layout):
        base = self.written["v1"].layers[0]
        content = bytearray(self.blob(layout, base.digest).read_bytes())
        content[5] ^= 1  # in the time of the gzip header: whole, but another blob
        self.blob(layout, base.digest).write_bytes(content)
        with pytest.raises(InputRejected) as caught:
            measure([layout], levels=["layer"])
        (problem,) = caught.value.problems
        assert problem.file == f"layout/{base.digest}"
        assert f"and its descriptor says {base.digest}" in problem.message

    def test_a_layer_with_another_size(self, layout):
        base = self.written["v1"].layers[0]
        layer = {"mediaType": OCI_LAYER, "digest": base.digest, "size": base.size + 1}
        self.add(layout, {"schemaVersion": 2, "layers": [layer]})
        assert f"has the size {base.size:,}, and {base.size + 1:,}" in self.rejected(layout)
        path = self.blob(layout, base.digest)
        with pytest.raises(InputRejected, match="and its descriptor says 1"):
            measure([Layer(path=path, digest=base.digest, size=1)])
        with pytest.raises(InputRejected, match="and should have 1"):
            measure([Layer(path=path, size=1)])

    def test_digests_of_sha512(self, tmp_path):
        path = tmp_path / "layer"
        path.write_bytes(WHOLE)
        digest = "sha512:" + hashlib.sha512(WHOLE).hexdigest()
        assert measure([Layer(path=path, digest=digest)]).level("file").count == 2
        with pytest.raises(InputRejected, match="digest sha512"):
            measure([Layer(path=path, digest="sha512:" + "0" * 128)])

    def test_a_digest_that_is_a_path(self, layout):
        for digest in ("sha256:../../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "0" * 32):
            self.add(layout, {"schemaVersion": 2, "layers": [{"digest": digest, "size": 1}]})
            assert "is not a digest" in self.rejected(layout)
        with pytest.raises(InvalidDigest):
            Layer(path=layout, digest="sha256:../../x")

    def test_manifests_that_are_not_what_they_should_be(self, layout):
        index = (layout / "index.json").read_bytes()
        layer = {"digest": "sha256:" + "0" * 64, "size": 1}
        cases = [
            (self.add, {"layers": [layer]}, {"size": 3}, "bytes, and its descriptor says 3"),
            (self.add, {"layers": [layer], "manifests": []}, {}, "can be read in two ways"),
            (self.add, b"[" * 100_000, {}, "cannot be read"),
            (self.add, {"layers": [layer | {"size": "1"}]}, {}, "cannot be read"),
            (self.add, {"layers": [layer | {"size": -1}]}, {}, "the size -1"),
            (self.add, {"layers": [layer], "x": "y" * 2**22}, {}, "longer than 4,194,304 bytes"),
            (self.add, {"layers": [layer]}, {"digest": "sha256:" + "1" * 64}, "cannot be opened"),
        ]
        for add, document, changes, expected in cases:
            add(layout, document, **changes)
            assert expected in self.rejected(layout)
            (layout / "index.json").write_bytes(index)
        digest = self.add(layout, {"layers": []})
        self.blob(layout, digest).write_text('{"layers":  []}'.ljust(len('{"layers": []}')))
        assert "and its descriptor says" in self.rejected(layout)

    def test_an_index_that_is_too_deep_or_names_itself(self, layout):
        index = json.loads((layout / "index.json").read_bytes())
        (layout / "index.json").write_text(json.dumps(index | {"manifests": []}))
        child = {"layers": []}
        for _ in range(10):
            digest = self.add(layout, child, OCI_INDEX)
            size = self.blob(layout, digest).stat().st_size
            child = {"manifests": [{"digest": digest, "size": size}]}
            (layout / "index.json").write_text(json.dumps(index | {"manifests": []}))
        self.add(layout, child, OCI_INDEX)
        assert "indexes deep; the limit is 8" in self.rejected(layout)

    def test_a_blob_that_is_a_link_or_a_pipe(self, layout):
        path = self.blob(layout, self.written["v1"].layers[0].digest)
        path.rename(layout / "elsewhere")
        path.symlink_to(layout / "elsewhere")
        assert "cannot be opened" in self.rejected(layout)
        path.unlink()
        os.mkfifo(path)
        assert "is not a regular file" in self.rejected(layout)

    def test_foreign_layers_and_artifacts(self, layout):
        absent = {"mediaType": DOCKER_FOREIGN_LAYER, "digest": "sha256:" + "0" * 64, "size": 10**9}
        content = b"no archive, but a signature"
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.blob(layout, digest).write_bytes(content)
        artifact = {"mediaType": "application/vnd.example+json", "digest": digest, "size": len(content)}
        before = measure([layout])
        self.add(layout, {"layers": [absent, artifact]})
        after = measure([layout], zstd_level=1)
        assert after.level("layer").total_bytes == before.level("layer").total_bytes + len(content)
        assert after.level("file").total_bytes == before.level("file").total_bytes
        assert after.layers[-1].tar_bytes is None
        # Said to be an archive, it must be one.
        self.add(layout, {"layers": [artifact | {"mediaType": OCI_LAYER, "digest": digest}, absent]})

    def test_a_directory_that_is_no_layout(self, tmp_path):
        with pytest.raises(InvalidValue, match="OCI image layout"):
            measure([tmp_path])


def test_a_whole_archive_is_one_whatever_the_pieces(folder):
    """Entries, headers and padding fall anywhere within the pieces that are read."""
    layer = random_layer(3, 900_000, files=37, compression="none")
    blob = b"".join(tar_pieces(layer))
    for chunking in (SMALL, Chunking()):
        (folder / "plain").write_bytes(blob)
        (folder / "gzip").write_bytes(gzip.compress(blob, 1))
        one, other = (measure([folder / name], chunking=chunking) for name in ("plain", "gzip"))
        assert one.levels[1:] == other.levels[1:]
        assert one.level("file").unique_count == 37
