"""Content deduplication: every figure against whole files and dicts; whatever the workers, the order and the pieces."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import itertools
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from quotasim.dedup import Chunker, Chunking, Layer, LevelContent, is_compiled, measure
from quotasim.dedup.chunking import WINDOW_BYTES
from quotasim.errors import InvalidValue
from quotasim.payload import Pool, file_pieces, layer_pieces, random_layer

from .plain_dedup import chunks, measure_plainly, plain
from .tools import run_tool

SMALL = Chunking(minimum=64, average=256, maximum=1024)
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
COMPRESS = {"none": bytes, "gzip": gzip.compress, "zstd": lambda data: zstandard.ZstdCompressor().compress(data)}


def figures(report) -> dict[str, tuple[int, int, int, int]]:
    return {
        found.level: (found.count, found.unique_count, found.total_bytes, found.unique_bytes) for found in report.levels
    }


def oracle(paths, chunking=SMALL):
    return measure_plainly(paths, chunking.minimum, chunking.average, chunking.maximum)


def layer_file(directory: Path, layer, name: str = "layer") -> Path:
    path = directory / name
    path.write_bytes(b"".join(layer_pieces(layer)))
    return path


def archive(members, style=tarfile.PAX_FORMAT) -> bytes:
    """A tar of (name, type, content) triples."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=style) as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
                member.linkname = "../../etc/passwd"
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return file.getvalue()


# Files of a few repeated parts: equal files, and files that have chunks in common, come about by chance.
PARTS = tuple(hashlib.shake_256(bytes([row])).digest(size) for row, size in enumerate((700, 1500, 90, 5000)))
CONTENTS = st.lists(st.sampled_from([*PARTS, bytes(3000), b"x"]), max_size=4).map(b"".join)
KINDS = st.sampled_from([tarfile.REGTYPE] * 6 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
NAMES = st.sampled_from(["a", "/etc/shadow", "../../up", "long/" * 30 + "name", "ü" * 60])
MEMBERS = st.lists(st.tuples(NAMES, KINDS, CONTENTS), max_size=6)
BLOBS = st.builds(
    lambda members, style, compression: COMPRESS[compression](archive(members, style)),
    MEMBERS,
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.sampled_from(sorted(COMPRESS)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("layers")


def written(folder: Path, blobs) -> list[Path]:
    paths = []
    for blob in blobs:
        path = folder / hashlib.sha256(blob).hexdigest()
        path.write_bytes(blob)
        paths.append(path)
    return paths


class TestAgainstTheOracle:
    @given(st.lists(BLOBS, max_size=4), st.integers(1, 3), st.sampled_from([None, 1]))
    def test_every_figure(self, folder, blobs, workers, zstd_level):
        paths = written(folder, blobs)
        report = measure(paths, workers=workers, chunking=SMALL, zstd_level=zstd_level)
        assert figures(report) == oracle(paths)
        assert [layer.size for layer in report.layers] == [len(blob) for blob in blobs]
        assert [layer.tar_bytes for layer in report.layers] == [len(plain(blob)) for blob in blobs]
        assert [layer.digest for layer in report.layers] == [f"sha256:{path.name}" for path in paths]
        for level in report.levels:
            assert (level.compressed_bytes is None) == (zstd_level is None)

    @given(st.lists(BLOBS, min_size=1, max_size=3))
    def test_compressed_bytes_are_those_of_a_frame_for_each_object(self, folder, blobs):
        paths = written(folder, blobs)
        report = measure(paths, chunking=SMALL, zstd_level=3)
        found = {level.level: (level.plain_bytes, level.compressed_bytes) for level in report.levels}
        compressor = zstandard.ZstdCompressor(level=3)
        files, parts = set(), set()
        for blob in blobs:
            with tarfile.open(fileobj=io.BytesIO(plain(blob))) as tar:
                files |= {tar.extractfile(member).read() for member in tar if member.isreg()}
        for content in files:
            parts |= set(chunks(content, SMALL.minimum, SMALL.average, SMALL.maximum))
        for level, objects in (("file", files), ("chunk", parts)):
            sizes = [len(compressor.compress(content)) for content in objects]
            assert found[level] == (sum(map(len, objects)), sum(sizes))
        assert found["layer"][0] == sum(len(plain(blob)) for blob in set(blobs)) == report.unique_tar_bytes

    def test_a_large_generated_layer(self, tmp_path):
        pool = Pool(extents=4, extent_bytes=2**18)
        sizes = {"none": 6 * 2**20, "gzip": 3 * 2**20, "zstd": 3 * 2**20}
        paths = [
            layer_file(
                tmp_path,
                random_layer(row, size, files=3, ratio=2.0, chunk_duplication=0.7, pool=pool, compression=compression),
                compression,
            )
            for row, (compression, size) in enumerate(sizes.items())
        ]
        report = measure(paths, zstd_level=1)
        cutter = Chunking()
        expected = oracle(paths, cutter)
        assert figures(report) == expected
        assert report.level("chunk").dedup_ratio > 1.3 > report.level("file").dedup_ratio == 1.0
        # Within one file zstd finds what the pool repeats, too.
        assert report.level("file").compression_ratio > 2.05 > report.level("chunk").compression_ratio > 1.95

    def test_repeated_files_of_a_pool_are_found_at_their_level(self, tmp_path):
        pool = Pool(extents=5)
        paths = [
            layer_file(tmp_path, random_layer(seed, 10**6, files=100, file_duplication=0.6, pool=pool), str(seed))
            for seed in (1, 2)
        ]
        report = measure(paths)
        assert report.level("layer").dedup_ratio == 1.0
        assert report.level("file").unique_count == 5 + 2 * 40
        assert report.level("file").dedup_ratio == pytest.approx(200 / 85)

    def test_files_that_are_just_large_enough_to_be_cut(self, tmp_path):
        files = [(str(row), tarfile.REGTYPE, hashlib.shake_256(bytes([row])).digest(128)) for row in range(200)]
        paths = written(tmp_path, [archive(files)])
        report = measure(paths, chunking=SMALL)
        assert figures(report) == oracle(paths)
        assert report.level("chunk").count > 200


class TestLaws:
    @given(st.lists(MEMBERS.map(archive), max_size=4))
    def test_a_finer_level_never_stores_more(self, folder, blobs):
        """Of plain archives: a compressed layer may be smaller than its files."""
        report = measure(written(folder, blobs), chunking=SMALL)
        layer, file, chunk = report.levels
        assert layer.unique_bytes >= file.unique_bytes >= chunk.unique_bytes
        assert layer.total_bytes >= file.total_bytes == chunk.total_bytes

    @given(st.lists(BLOBS, min_size=1, max_size=4), st.data())
    def test_neither_order_nor_workers_matter(self, folder, blobs, data):
        paths = written(folder, blobs)
        shuffled = data.draw(st.permutations(paths))
        one = measure(paths, chunking=SMALL, zstd_level=1)
        other = measure(shuffled, chunking=SMALL, zstd_level=1, workers=3)
        assert one.levels == other.levels
        assert dataclasses.replace(one, layers=()) == dataclasses.replace(other, layers=())
        assert one == measure(paths, chunking=SMALL, zstd_level=1, workers=2)

    @given(st.lists(BLOBS, max_size=3), BLOBS)
    def test_one_layer_more_never_stores_less_and_twice_the_same_stores_nothing(self, folder, blobs, blob):
        paths = written(folder, [*blobs, blob])
        fewer, more, twice = (measure(some, chunking=SMALL) for some in (paths[:-1], paths, paths + paths))
        for less, full, again in zip(fewer.levels, more.levels, twice.levels, strict=True):
            assert less.unique_bytes <= full.unique_bytes == again.unique_bytes
            assert less.unique_count <= full.unique_count == again.unique_count
            assert 2 * full.total_bytes == again.total_bytes

    @given(st.lists(BLOBS, min_size=1, max_size=2), st.integers(1, 4))
    def test_a_mention_counts_as_a_layer_of_its_own(self, folder, blobs, mentions):
        paths = written(folder, blobs)
        listed = measure([Layer(path=path, mentions=mentions) for path in paths], chunking=SMALL)
        assert listed.levels == measure(paths * mentions, chunking=SMALL).levels
        assert listed.tar_bytes == mentions * sum(len(plain(blob)) for blob in blobs)

    @given(BLOBS, st.sets(st.sampled_from(["layer", "file", "chunk"]), min_size=1))
    def test_a_level_does_not_depend_on_the_others(self, folder, blob, levels):
        paths = written(folder, [blob])
        whole = {level.level: level for level in measure(paths, chunking=SMALL, zstd_level=1).levels}
        for level in measure(paths, levels=tuple(levels), chunking=SMALL, zstd_level=1).levels:
            assert whole[level.level] == level


class TestChunker:
    def test_the_compiled_chunker_is_in_use(self):
        assert is_compiled(), "pyfastcdc fell back to Python, some hundred times slower: it found no wheel or compiler"

    def test_the_twin_in_python_is_told_apart(self):
        code = (
            "import sys, warnings; sys.modules['pyfastcdc.cy'] = None; warnings.simplefilter('ignore')\n"
            "from quotasim.dedup import is_compiled; print(is_compiled())"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "False"

    @settings(max_examples=40)
    @given(
        st.sampled_from(
            [0, 1, 64, 1025, *(n * WINDOW_BYTES + extra for n in (1, 2, 3) for extra in (-1, 0, 1024, 2**16))]
        ),
        st.integers(0, 2**32),
        st.lists(st.integers(1, 2 * WINDOW_BYTES), max_size=8),
        st.sampled_from([SMALL, Chunking(), Chunking(minimum=2**16, average=2**17, maximum=2**19)]),
    )
    def test_windows_cut_as_the_whole_stream_is_cut(self, size, seed, pieces, chunking):
        """Large chunks, windows and pieces that end anywhere, zeros that are cut at the maximum."""
        content = b"".join(file_pieces(random_layer(seed, size, ratio=1.5).files[0])) + bytes(size // 3)
        whole = FastCDC(chunking.average, min_size=chunking.minimum, max_size=chunking.maximum)
        expected = [bytes(chunk.data) for chunk in whole.cut_buf(content)]
        found = []

        def take(window, lengths):
            ends = list(itertools.accumulate(lengths))
            found.extend(bytes(window[end - length : end]) for end, length in zip(ends, lengths, strict=True))

        chunker = Chunker(chunking, take)
        for _ in range(2):  # a second stream starts afresh
            start = 0
            for piece in (*pieces, len(content)):
                chunker.feed(memoryview(content)[start : start + piece])
                start += piece
            chunker.finish()
            assert found == expected
            found.clear()

    def test_the_compiled_chunker_cuts_as_its_twin(self):
        content = b"".join(file_pieces(random_layer(5, 300_000, ratio=1.2).files[0]))
        for chunking in (SMALL, Chunking()):
            cutter = FastCDC(chunking.average, min_size=chunking.minimum, max_size=chunking.maximum)
            found = [bytes(chunk.data) for chunk in cutter.cut_buf(content)]
            assert found == chunks(content, chunking.minimum, chunking.average, chunking.maximum)

    def test_an_insertion_moves_few_cut_points(self, tmp_path):
        content = b"".join(file_pieces(random_layer(5, 2**21).files[0]))
        changed = content[: 2**20] + b"inserted" + content[2**20 :]
        paths = written(tmp_path, [archive([("a", tarfile.REGTYPE, data)]) for data in (content, changed)])
        report = measure(paths)
        assert report.level("file").dedup_ratio == 1.0
        assert report.level("chunk").unique_bytes < 2**21 + 4 * Chunking().maximum

    @pytest.mark.parametrize(
        ("name", "sizes"),
        [
            ("minimum", {"minimum": 63}),
            ("average", {"average": 20_000}),
            ("average", {"minimum": 32_768}),
            ("maximum", {"maximum": 2**25}),
            ("maximum", {"maximum": 1.5}),
        ],
    )
    def test_wrong_sizes_are_named(self, name, sizes):
        with pytest.raises(InvalidValue) as caught:
            Chunking(**sizes)
        assert caught.value.name == name


class TestReport:
    def test_stages_and_levels_are_named(self, tmp_path):
        path = layer_file(tmp_path, random_layer(1, 300_000, files=3))
        report = measure([path], zstd_level=1)
        names = ["read", "decompress", "hash blobs", "hash files", "cut chunks", "hash chunks", "look up", "compress"]
        assert [stage.name for stage in report.stages] == names
        assert report.stage("read").bytes == report.stage("hash blobs").bytes == path.stat().st_size
        assert report.stage("decompress").bytes == report.tar_bytes
        assert report.stage("hash files").bytes == report.stage("cut chunks").bytes == 300_000
        assert report.stage("compress").bytes == 600_000 + report.tar_bytes
        assert all(stage.bytes_per_second > 0 for stage in report.stages)
        assert [stage.name for stage in measure([path], levels=["layer"]).stages] == ["read", "hash blobs", "look up"]
        with pytest.raises(InvalidValue, match="layer or file or chunk"):
            report.level("block")
        with pytest.raises(InvalidValue, match="read or"):
            report.stage("write")

    def test_nothing_gives_nothing(self):
        report = measure([])
        assert figures(report) == {level: (0, 0, 0, 0) for level in ("layer", "file", "chunk")}
        assert report.level("file").dedup_ratio is None
        nothing = LevelContent(level="file", count=0, unique_count=0, total_bytes=0, unique_bytes=0)
        assert report.level("file") == nothing
        assert nothing.compression_ratio is None

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("levels", {"levels": ()}),
            ("levels", {"levels": ("layer", "block")}),
            ("workers", {"workers": 0}),
            ("zstd_level", {"zstd_level": 23}),
        ],
    )
    def test_wrong_arguments_are_named(self, name, settings):
        with pytest.raises(InvalidValue) as caught:
            measure([], **settings)
        assert caught.value.name == name

    def test_memory_stays_small_whatever_the_layer(self, tmp_path):
        code = (
            "import sys; from quotasim.dedup import measure\n"
            "report = measure(sys.argv[1:], zstd_level=1); print(report.peak_memory_bytes)"
        )
        peaks = []
        for size in (2**20, 2**27):
            path = layer_file(tmp_path, random_layer(1, size, files=2, compression="none"), str(size))
            done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
            peaks.append(done.stdout.strip())
        if peaks[0] == "None":
            pytest.skip("the system does not say what is resident in /proc")
        assert int(peaks[1]) < 2**26


class TestRealContent:
    def test_layers_that_umoci_makes_of_installed_packages(self, tmp_path):
        """Two versions of an application on one base: shared layers, equal files, and a rebuilt file."""
        layout, chunking = tmp_path / "layout", Chunking(minimum=1024, average=4096, maximum=16_384)
        base, one, other = (tmp_path / name for name in ("base", "one", "other"))
        files = [Path(line) for line in run_tool("dpkg", "-L", "bash").splitlines()]
        for path in files:
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**21:
                target = base / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        packages = Path(pytest.__file__).parent.parent
        for place in (one, other):
            for package in ("_pytest", "zstandard"):
                for path in (packages / package).rglob("*.py"):
                    target = place / path.relative_to(packages)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
        rebuilt = other / "_pytest" / "python.py"
        rebuilt.write_bytes(b"# rebuilt\n" + rebuilt.read_bytes())
        run_tool("umoci", "init", "--layout", layout)
        for tag, place in (("v1", one), ("v2", other)):
            image = f"{layout}:{tag}"
            if tag == "v1":
                run_tool("umoci", "new", "--image", image)
                run_tool("umoci", "insert", "--rootless", "--image", image, base, "/")
                run_tool("umoci", "tag", "--image", image, "v2")
            run_tool("umoci", "insert", "--rootless", "--image", image, place, "/app")
        report = measure([layout], chunking=chunking, zstd_level=3, workers=2)
        assert sorted(layer.mentions for layer in report.layers) == [1, 1, 2]
        blobs = [layout / "blobs" / "sha256" / layer.digest.removeprefix("sha256:") for layer in report.layers]
        listed = [path for path, layer in zip(blobs, report.layers, strict=True) for _ in range(layer.mentions)]
        assert figures(report) == oracle(listed, chunking)
        layer, file, chunk = report.levels
        assert layer.unique_bytes < layer.total_bytes
        # Against the distinct layers, files save one application but for a file, and chunks most of that one as well.
        size = rebuilt.stat().st_size
        assert file.unique_bytes < report.unique_tar_bytes - sum(p.stat().st_size for p in one.rglob("*.py")) + 2 * size
        assert chunk.unique_bytes < file.unique_bytes - size // 2
        assert file.compression_ratio > 2


def test_the_temporary_directory_is_not_needed(monkeypatch, tmp_path):
    """Nothing is extracted: with no place to write to, the figures are the same."""
    path = layer_file(tmp_path, random_layer(1, 200_000, files=3))
    expected = measure([path])

    def refuse(*_, **__):
        raise AssertionError

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkdtemp", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    assert measure([path]) == expected


def test_the_page_shows_what_its_code_prints(root):
    page = (root / "docs" / "content-dedup.md").read_text()
    code, shown = (re.search(rf"^```{kind}\n(.*?)^```", page, flags=re.M | re.S)[1] for kind in ("python", "text"))
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == shown
