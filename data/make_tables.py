"""Write the hand-made table sets of this directory, and their hash list.

    python data/make_tables.py [DIRECTORY]

Everything is invented: digests are the sha256 of labels, sizes are made up, names are generic. The same
script gives the same bytes everywhere. ``tables/`` is a registry's history with ``tag_events`` and
``indexes``; ``tables-tags/`` is a registry's state with ``tags`` and ``config_size``.
``tables/monthly_replay.csv`` is not written here: the tests derive it with a replay of plain dictionaries
and compare.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"

AMD64, ARM64, ARM_V7 = "linux/amd64", "linux/arm64/v8", "linux/arm/v7"
WINDOWS = "windows/amd64:10.0.20348"

MIB, GIB = 2**20, 2**30


def digest_of(label: str) -> str:
    """Digest of a label; nothing here has content."""
    return f"sha256:{hashlib.sha256(label.encode()).hexdigest()}"


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; None becomes an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)


@dataclass
class History:
    """A registry's history, told push by push."""

    blobs: dict[str, list[object]] = field(default_factory=dict)
    manifests: dict[str, list[object]] = field(default_factory=dict)
    layers: list[tuple[int, int, int]] = field(default_factory=list)
    indexes: list[tuple[str, str, int]] = field(default_factory=list)
    events: list[list[object]] = field(default_factory=list)
    bound: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    now: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    scans: int = 0

    def layer(self, label: str, size: int, media_type: str | None = LAYER) -> str:
        """Name a layer, new or known."""
        if label not in self.blobs:
            uploaded = (self.now - timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
            self.blobs[label] = [len(self.blobs), digest_of(f"layer {label}"), size, uploaded, media_type]
        assert self.blobs[label][2] == size, label
        return label

    def image(
        self,
        repository: str,
        label: str,
        layers: Sequence[str],
        platform: str = AMD64,
        media_type: str | None = SCHEMA_2,
    ) -> str:
        """Name an image; it is listed once, with the repository that had it first."""
        row = len(self.manifests)
        at = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        tag = label.rpartition(" ")[2]
        assert label not in self.manifests, label
        self.manifests[label] = [
            row,
            digest_of(f"image {label} {platform}"),
            repository,
            tag,
            platform,
            at,
            at,
            media_type,
        ]
        self.layers += [(row, position, int(str(self.blobs[name][0]))) for position, name in enumerate(layers)]
        return label

    def index(self, label: str, *images: str) -> None:
        """List an index over images."""
        for image in images:
            row, _, _, _, platform, *_ = self.manifests[image]
            self.indexes.append((digest_of(f"index {label}"), str(platform), int(str(row))))

    def scan(self, at: str, *changes: tuple[str, str, Sequence[str]]) -> None:
        """One batch of changes: each tag and the images it has from now on, none to delete it."""
        self.scans += 1
        self.now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        commit = hashlib.sha256(f"scan {self.scans}".encode()).hexdigest()[:12]
        for repository, tag, images in changes:
            before = self.bound.get((repository, tag), {})
            after = {str(self.manifests[image][4]): image for image in images}
            for platform in sorted({*before, *after}):
                old, new = before.get(platform), after.get(platform)
                if old == new:
                    continue
                if new is None:
                    op = "drop_platform" if after else "delete"
                elif old is None:
                    op = "add_platform" if before else "create"
                else:
                    op = "update"
                self._event(repository, tag, platform, op, new or old, old, commit)
            self.bound[repository, tag] = after

    def _event(
        self,
        repository: str,
        tag: str,
        platform: str,
        op: str,
        image: str | None,
        old: str | None,
        commit: str,
    ) -> None:
        assert image is not None
        self.events.append(
            [
                len(self.events),
                self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                repository,
                tag,
                platform,
                op,
                self.manifests[image][0],
                None if old is None else self.manifests[old][0],
                commit,
            ]
        )

    def write(self, directory: Path) -> None:
        """Write the five tables."""
        directory.mkdir(parents=True, exist_ok=True)
        write_csv(
            directory / "blobs.csv",
            ("blob_id", "digest", "size", "uploaded_at", "media_type"),
            self.blobs.values(),
        )
        write_csv(
            directory / "manifests.csv",
            (
                "manifest_id",
                "manifest_digest",
                "repository",
                "tag",
                "platform",
                "pushed_at",
                "first_observed_at",
                "media_type",
            ),
            self.manifests.values(),
        )
        write_csv(directory / "layers.csv", ("manifest_id", "position", "blob_id"), self.layers)
        write_csv(directory / "indexes.csv", ("index_digest", "platform", "manifest_id"), self.indexes)
        write_csv(
            directory / "tag_events.csv",
            (
                "event_id",
                "observed_at",
                "repository",
                "tag",
                "platform",
                "op",
                "manifest_id",
                "prev_manifest_id",
                "scan_commit",
            ),
            self.events,
        )


def make_history() -> History:
    """Four months of twelve repositories."""
    h = History()
    h.now = datetime(2024, 1, 3, 9, 0, tzinfo=UTC)
    # The layer of a build step that changes no file: nearly everybody has it.
    empty = h.layer("empty", 32)

    # January: bases, two tags on one index, an index with a single child, a schema 1 leftover with a
    # repeated layer.
    alpine = {p: h.layer(f"alpine 3.18 {p}", size) for p, size in ((AMD64, 3_401_613), (ARM64, 3_333_094))}
    for platform in (AMD64, ARM64):
        h.image("alpine", f"alpine 3.18 {platform}", [alpine[platform]], platform)
    h.index("alpine 3.18", f"alpine 3.18 {AMD64}", f"alpine 3.18 {ARM64}")
    debian = h.layer("debian 12.4", 49_582_174)
    h.image("debian", "debian 12.4", [debian])
    h.image("hello-world", "hello 1", [h.layer("hello 1", 2_459)])
    h.index("hello 1", "hello 1")
    legacy = [h.layer(f"legacy {n}", size, None) for n, size in enumerate((67_108_901, 1_204, 8_812_345))]
    h.image("archive/legacy", "legacy 1", [legacy[0], empty, legacy[1], empty, legacy[2], empty], media_type=None)
    both_318 = [f"alpine 3.18 {AMD64}", f"alpine 3.18 {ARM64}"]
    h.scan(
        "2024-01-03T09:00:00",
        ("alpine", "3.18", both_318),
        ("alpine", "latest", both_318),
        ("debian", "12", ["debian 12.4"]),
        ("debian", "stable", ["debian 12.4"]),
        ("hello-world", "latest", ["hello 1"]),
        ("archive/legacy", "v1", ["legacy 1"]),
    )
    h.now = datetime(2024, 1, 10, 14, 30, tzinfo=UTC)
    base = [debian, h.layer("base 1.0", 21_930_776), empty]
    h.image("platform/base", "base 1.0", base)
    h.image("team-a/web", "web 1", [*base, h.layer("web dependencies 1", 38_112_050), h.layer("web 1", 1_048_931)])
    h.image("team-a/api", "api 1", [*base, h.layer("api 1", 9_771_206)])
    h.scan(
        "2024-01-10T14:30:00",
        ("platform/base", "1.0", ["base 1.0"]),
        ("platform/base", "latest", ["base 1.0"]),
        ("team-a/web", "v1", ["web 1"]),
        ("team-a/web", "latest", ["web 1"]),
        ("team-a/api", "v1", ["api 1"]),
    )
    h.now = datetime(2024, 1, 20, 7, 15, tzinfo=UTC)
    shop = [alpine[AMD64], h.layer("shop 1 linux", 14_002_117)]
    h.image("team-b/web", "shop 1 linux", shop)
    nano = h.layer("windows nano 20348", 122_443_008, FOREIGN_LAYER)
    h.image("team-b/web", "shop 1 windows", [nano, h.layer("shop 1 windows", 15_733_420)], WINDOWS)
    h.index("shop 1", "shop 1 linux", "shop 1 windows")
    # Over 2^32 bytes: a 32-bit size would not hold it.
    model = h.layer("model 1", 6 * GIB + 17)
    h.image("team-b/ml", "ml 1", [debian, h.layer("ml runtime 1", 812_400_128), model])
    # The same two images, and so the same index, in a second repository.
    h.scan(
        "2024-01-20T07:15:00",
        ("mirror/alpine", "3.18", both_318),
        ("team-b/web", "v1", ["shop 1 linux", "shop 1 windows"]),
        ("team-b/ml", "v1", ["ml 1"]),
        ("team-b/ml", "latest", ["ml 1"]),
    )

    # February: a new debian rebuilds everything on it; a manifest changes tags within one batch.
    h.now = datetime(2024, 2, 1, 3, 0, tzinfo=UTC)
    debian_5 = h.layer("debian 12.5", 49_577_302)
    h.image("debian", "debian 12.5", [debian_5])
    base_11 = [debian_5, h.layer("base 1.1", 21_944_019), empty]
    h.image("platform/base", "base 1.1", base_11)
    h.scan(
        "2024-02-01T03:00:00",
        ("debian", "12", ["debian 12.5"]),
        ("debian", "stable", ["debian 12.5"]),
        ("platform/base", "1.1", ["base 1.1"]),
        ("platform/base", "latest", ["base 1.1"]),
    )
    h.now = datetime(2024, 2, 2, 11, 45, tzinfo=UTC)
    dependencies_2 = h.layer("web dependencies 2", 38_530_662)
    h.image("team-a/web", "web 2", [*base_11, dependencies_2, h.layer("web 2", 1_050_004)])
    h.image("team-a/api", "api 2", [*base_11, h.layer("api 2", 9_790_551)])
    h.image("team-a/worker", "worker 1", [*base_11, h.layer("worker 1", 5_005_005)])
    h.scan(
        "2024-02-02T11:45:00",
        ("team-a/web", "v2", ["web 2"]),
        ("team-a/web", "latest", ["web 2"]),
        ("team-a/api", "v1", ["api 2"]),
        ("team-a/worker", "v1", ["worker 1"]),
        ("team-a/worker", "canary", ["worker 1"]),
    )
    h.now = datetime(2024, 2, 15, 22, 5, tzinfo=UTC)
    for platform, size in ((AMD64, 3_408_729), (ARM64, 3_347_968), (ARM_V7, 2_964_881)):
        h.image("alpine", f"alpine 3.19 {platform}", [h.layer(f"alpine 3.19 {platform}", size)], platform)
    all_319 = [f"alpine 3.19 {platform}" for platform in (AMD64, ARM64, ARM_V7)]
    h.index("alpine 3.19", *all_319)
    h.scan("2024-02-15T22:05:00", ("alpine", "3.19", all_319), ("alpine", "latest", all_319))
    h.now = datetime(2024, 2, 20, 16, 0, tzinfo=UTC)
    lint = [alpine[AMD64], h.layer("lint 1", 7_340_032)]
    h.image("platform/tools/lint", "lint nightly-0220", lint)
    # "v1" goes and "stable" comes with the same image: applied row by row the image would be orphaned in
    # between. And a tag that one batch both creates and deletes.
    h.scan(
        "2024-02-20T16:00:00",
        ("team-a/web", "v1", []),
        ("team-a/web", "stable", ["web 1"]),
        ("platform/tools/lint", "nightly", ["lint nightly-0220"]),
        ("platform/tools/lint", "nightly", []),
        ("team-b/ml", "latest", []),
    )

    # March: deletes, a revival, a platform less, a tag with two images that no index lists.
    h.now = datetime(2024, 3, 3, 8, 0, tzinfo=UTC)
    web_3 = [*base_11, dependencies_2, h.layer("web 3", 1_049_117), empty]
    h.image("team-a/web", "web 3", web_3)
    h.scan(
        "2024-03-03T08:00:00",
        ("team-a/web", "v3", ["web 3"]),
        ("team-a/web", "latest", ["web 3"]),
        ("team-a/web", "stable", []),
        ("team-b/ml", "v1", []),
        ("mirror/alpine", "3.18", []),
    )
    h.now = datetime(2024, 3, 9, 19, 30, tzinfo=UTC)
    lint_2 = [
        [alpine[AMD64], h.layer("lint 2 amd64", 7_450_113)],
        [alpine[ARM64], h.layer("lint 2 arm64", 7_120_040)],
    ]
    h.image("platform/tools/lint", "lint 2 amd64", lint_2[0])
    h.image("platform/tools/lint", "lint 2 arm64", lint_2[1], ARM64)
    h.scan(
        "2024-03-09T19:30:00",
        ("platform/tools/lint", "v2", ["lint 2 amd64", "lint 2 arm64"]),
        ("team-b/web", "v1", ["shop 1 linux"]),
        ("team-a/web", "v1", ["web 1"]),
        ("archive/legacy", "v1", []),
    )
    h.now = datetime(2024, 3, 28, 12, 0, tzinfo=UTC)
    for n, size in ((3, 5_006_118), (4, 5_007_271)):
        h.image("team-a/worker", f"worker {n}", [*base_11, h.layer(f"worker {n}", size)])
    shop_2 = h.layer("shop 2 linux", 14_100_222)
    h.image("team-b/web", "shop 2 linux", [alpine[AMD64], shop_2])
    h.image("team-b/web", "shop 2 windows", [nano, h.layer("shop 2 windows", 15_801_006)], WINDOWS)
    # Two indexes over the same images: pushed twice, with other annotations.
    h.index("shop 2", "shop 2 linux", "shop 2 windows")
    h.index("shop 2 again", "shop 2 linux", "shop 2 windows")
    h.scan(
        "2024-03-28T12:00:00",
        ("team-a/worker", "v1", ["worker 3"]),
        ("team-a/worker", "canary", ["worker 4"]),
        ("team-b/web", "v2", ["shop 2 linux", "shop 2 windows"]),
        ("team-b/web", "latest", ["shop 2 linux", "shop 2 windows"]),
    )

    # April: two tags change places, an old model comes back, a repository empties, a nightly that is
    # replaced daily.
    h.scan(
        "2024-04-02T05:00:00",
        ("team-a/worker", "v1", ["worker 4"]),
        ("team-a/worker", "canary", ["worker 3"]),
        ("team-b/ml", "v1", ["ml 1"]),
        ("hello-world", "latest", []),
    )
    for day in (3, 4, 5):
        h.now = datetime(2024, 4, day, 2, 0, tzinfo=UTC)
        nightly = [*base_11, h.layer(f"api nightly {day}", 9_800_000 + 1_013 * day)]
        h.image("team-a/api", f"api nightly-{day}", nightly)
        h.scan(f"2024-04-0{day}T02:00:00", ("team-a/api", "nightly", [f"api nightly-{day}"]))
    h.now = datetime(2024, 4, 20, 17, 45, tzinfo=UTC)
    h.image("hello-world", "hello 2", [h.layer("hello 2", 2_461)])
    h.index("hello 2", "hello 2")
    h.image("team-b/ml", "ml 2", [debian_5, h.layer("ml runtime 2", 815_004_672), model])
    h.image("team-b/ml", "ml tiny", [debian_5, h.layer("model tiny", 12 * MIB)])
    h.image("debian", "debian 12.5 slim", [h.layer("debian 12.5 slim", 29_150_430)])
    h.scan(
        "2024-04-20T17:45:00",
        ("hello-world", "latest", ["hello 2"]),
        ("hello-world", "linux", ["hello 2"]),
        ("team-b/ml", "v2", ["ml 2"]),
        ("team-b/ml", "tiny", ["ml tiny"]),
        ("debian", "12-slim", ["debian 12.5 slim"]),
        ("alpine", "3.18", both_318[:1]),
    )
    return h


def write_state(directory: Path) -> None:
    """Write a registry's state: ``tags``, ``config_size``, no ``indexes``; ids with gaps and in no order."""
    directory.mkdir(parents=True, exist_ok=True)
    sizes: list[tuple[str, int | None]] = [
        ("os", 30_000_000),
        ("runtime", 45_678_901),
        ("empty", 32),
        ("shop", 5_000_001),
        ("shop hotfix", 5_000_002),
        ("cart", 7_777_777),
        ("os arm64", 28_500_000),
        ("cart arm64", 7_600_600),
        ("big", 5 * GIB),
        # A registry that does not tell: the size is unknown, not 0.
        ("mystery", None),
    ]
    blob_id = {label: 900 - 37 * n for n, (label, _) in enumerate(sizes)}
    write_csv(
        directory / "blobs.csv",
        ("blob_id", "digest", "size"),
        [(blob_id[label], digest_of(f"state layer {label}"), size) for label, size in sizes],
    )
    # Label, repository, platform, config size, layers. "shop" is in two repositories, and one manifest there
    # as here.
    images: list[tuple[str, str, str | None, int | None, list[str]]] = [
        ("shop", "store/shop", AMD64, 4_097, ["os", "runtime", "empty", "shop"]),
        ("shop", "store/archive", AMD64, 4_097, ["os", "runtime", "empty", "shop"]),
        ("shop hotfix", "store/shop", AMD64, 4_098, ["os", "runtime", "empty", "shop hotfix", "empty"]),
        ("cart amd64", "store/cart", AMD64, 3_001, ["os", "cart"]),
        ("cart arm64", "store/cart", ARM64, 3_002, ["os arm64", "cart arm64"]),
        ("big", "batch", None, 999, ["os", "big"]),
        ("mystery", "batch", None, None, ["os", "mystery"]),
        # Untagged, and one image without layers.
        ("cart old", "store/cart", AMD64, 3_000, ["os", "shop"]),
        ("scratch", "batch", None, 2, []),
    ]
    manifest_id = [1_000_003 * (n + 1) % 7_919 for n in range(len(images))]
    write_csv(
        directory / "manifests.csv",
        ("manifest_id", "manifest_digest", "repository", "platform", "config_size"),
        [
            (manifest_id[n], digest_of(f"state image {label}"), repository, platform, size)
            for n, (label, repository, platform, size, _) in enumerate(images)
        ],
    )
    layers = [
        (manifest_id[n], position, blob_id[name])
        for n, image in enumerate(images)
        for position, name in enumerate(image[4])
    ]
    # In no order either: positions, not rows, say what lies on what.
    layers.sort(key=lambda row: hashlib.sha256(repr(row).encode()).digest())
    write_csv(directory / "layers.csv", ("manifest_id", "position", "blob_id"), layers)
    write_csv(
        directory / "tags.csv",
        ("repository", "tag", "manifest_id", "platform", "tagged_at"),
        [
            ("store/shop", "latest", manifest_id[2], AMD64, "2024-05-02T10:00:00Z"),
            ("store/shop", "1.0", manifest_id[0], AMD64, "2024-04-11T08:30:00Z"),
            ("store/archive", "1.0", manifest_id[1], AMD64, "2024-04-12T00:00:00Z"),
            ("store/cart", "2", manifest_id[3], AMD64, "2024-05-01T00:00:00Z"),
            ("store/cart", "2", manifest_id[4], ARM64, "2024-05-01T00:00:00Z"),
            ("batch", "nightly", manifest_id[5], None, None),
            ("batch", "unknown", manifest_id[6], None, None),
        ],
    )


def hash_list(directory: Path) -> str:
    """The hash list, as ``sha256sum --check`` reads it."""
    paths = sorted(directory.glob("tables*/*.csv"))
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory).as_posix()}\n" for path in paths
    )


def main(directory: Path) -> None:
    """Write both sets and the hash list."""
    make_history().write(directory / "tables")
    write_state(directory / "tables-tags")
    (directory / "SHA256SUMS").write_text(hash_list(directory), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
