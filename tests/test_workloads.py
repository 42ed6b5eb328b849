"""The generators: what each stream is made of, that registries of every kind take it, and that a seed repeats it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quotasim as qs
from quotasim import workloads
from quotasim.errors import InvalidValue
from quotasim.importers.trace_table import TraceOp
from quotasim.importers.traces import read_trace, write_trace
from quotasim.kernels import NULL
from quotasim.model.oci import Kind
from quotasim.profiles import PROFILES, by_name
from quotasim.workloads import Distribution, Hours
from quotasim.workloads.quota_check import EMPTY_LAYER, random_layer_bytes

from .trace_lines import SUFFIXES, told

SMALL = {
    "one_gb": {},
    "ci": {"services": 3, "branches": 2, "days": 21, "tag_lifetime": "5d"},
    "releases": {"products": 2, "minors": 4, "patches": 3, "tag_lifetime": "30d"},
    "monorepo": {"services": 4, "commits": 2, "days": 21, "touched": 0.3, "tag_lifetime": "7d"},
    "nightly": {"repositories": 3, "days": 20, "keep": 5},
    "base_rebuild": {"bases": 2, "images": 6, "updates": 3},
    "multi_arch": {"repositories": 2, "releases": 6, "tag_lifetime": "20d"},
    "signed": {"repositories": 2, "images": 8, "signatures": 2, "tag_lifetime": "8d"},
    "failed_pushes": {"repositories": 3, "pushes": 60, "failed": 0.4, "cancels": 0.3},
    "hub_like": {"manifests": 400, "repositories": 5},
}
DAY = 86_400_000_000

EVERY = pytest.mark.parametrize("name", sorted(SMALL))


def generate(name, seed=3, **more):
    return workloads.GENERATORS[name](**{**SMALL[name], **more}, seed=seed)


def rows(stream, *ops):
    return np.flatnonzero(np.isin(stream.op, ops))


def layers_of(stream, manifest):
    return stream.manifests.target[stream.manifests.indptr[manifest] : stream.manifests.indptr[manifest + 1]]


def names(stream, codes):
    return [stream.tags[code] for code in codes]


def digest_of_columns(stream):
    """One hash over every column and name."""
    found = hashlib.sha256()
    for part in (stream, stream.blobs, stream.manifests):
        for field in type(part).__dataclass_fields__:
            value = getattr(part, field)
            if isinstance(value, np.ndarray):
                found.update(str(value.dtype).encode() + value.tobytes())
            elif isinstance(value, tuple):
                found.update("\0".join(value).encode())
            elif field == "digest":
                found.update(value.words256.tobytes())
    return found.hexdigest()


# -- every generator -----------------------------------------------------------------------------------


def test_there_is_a_small_case_of_every_generator():
    assert set(SMALL) == set(workloads.GENERATORS)
    assert set(workloads.GENERATORS) <= set(workloads.__all__)


@pytest.mark.parametrize("profile", PROFILES)
@EVERY
def test_a_registry_of_every_kind_takes_it(name, profile):
    stream = generate(name)
    registry = qs.replay(stream, profile=profile)
    registry.check()
    registry.advance("90d")
    registry.check()
    assert registry.now >= stream.time[-1]


@EVERY
def test_the_columns_are_what_traces_have(name):
    stream = generate(name)
    assert np.all(np.diff(stream.time) >= 0)
    assert np.all(np.isin(np.diff(stream.batch), (0, 1)))
    one_batch = np.diff(stream.batch) == 0
    assert np.all(np.diff(stream.time)[one_batch] == 0)
    fields = {"time": np.int64, "batch": np.int32, "op": np.uint8, "repository": np.int32, "tag": np.int32}
    fields |= {"manifest": np.int32, "blob": np.int32, "upload": np.int32, "amount": np.int64}
    for field, dtype in fields.items():
        assert getattr(stream, field).dtype == dtype, field
    assert np.all(stream.blobs.size > 0)
    assert stream.manifests.target.dtype == np.int32
    # Each digest once.
    for digests in (stream.blobs.digest, stream.manifests.digest):
        assert len({row.tobytes() for row in digests.words256}) == len(digests)


@EVERY
def test_one_seed_gives_the_same_and_another_does_not(name):
    assert digest_of_columns(generate(name)) == digest_of_columns(generate(name))
    assert digest_of_columns(generate(name)) != digest_of_columns(generate(name, seed=4))


def test_generators_draw_apart():
    digests = {generate(name).blobs.digest.words256[0].tobytes() for name in SMALL}
    assert len(digests) == len(SMALL)


def test_a_seed_means_the_same_in_every_process():
    code = (
        "from tests.test_workloads import SMALL, digest_of_columns, generate\n"
        "print(*(digest_of_columns(generate(name)) for name in sorted(SMALL)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": value},
        ).stdout
        for value in ("0", "1")
    }
    assert found == {" ".join(digest_of_columns(generate(name)) for name in sorted(SMALL)) + "\n"}


@SUFFIXES
@EVERY
def test_it_is_written_and_read_again(tmp_path, name, suffix):
    stream = generate(name)
    path = tmp_path / f"trace{suffix}"
    write_trace(path, stream)
    again = read_trace(path)
    events, contents = told(stream)
    # Uploads are numbered in the order in which they start.
    renumbered = {}
    for event in events:
        if event[-3] is not None:
            renumbered.setdefault(event[-3], len(renumbered))
    events = [(*event[:-3], renumbered.get(event[-3]), *event[-2:]) for event in events]
    # What is never pushed is in no file.
    pushed = {event[6] for event in events if event[6] is not None}
    assert told(again) == (events, {digest: content for digest, content in contents.items() if digest in pushed})


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("ci", "services"),
        ("ci", "days"),
        ("releases", "products"),
        ("monorepo", "services"),
        ("nightly", "days"),
        ("base_rebuild", "images"),
        ("multi_arch", "releases"),
        ("signed", "images"),
        ("failed_pushes", "pushes"),
        ("hub_like", "manifests"),
    ],
)
def test_sizes_scale_as_asked(name, parameter):
    before = generate(name)
    after = generate(name, **{parameter: 3 * SMALL[name][parameter]})
    pushes = [rows(stream, TraceOp.PUSH).size for stream in (before, after)]
    assert 2.4 < pushes[1] / pushes[0] < 3.2


@EVERY
def test_it_begins_when_asked(name):
    stream = generate(name, start="2030-03-04")
    first = qs.parse_time("2030-03-04")
    assert 0 <= stream.time[0] - first < 31 * DAY


BAD = [
    ("services", ("ci", "monorepo"), (0, -1, 1.5, True, "3")),
    ("repositories", ("nightly", "multi_arch", "signed", "failed_pushes", "hub_like"), (0, 2**31)),
    ("days", ("ci", "monorepo", "nightly", "failed_pushes", "hub_like"), (0, 10**6)),
    ("start", tuple(SMALL), ("yesterday", "9500-01-01")),
    ("seed", tuple(SMALL), (-1, 2**63, 1.5)),
    ("removal", ("ci", "releases", "nightly", "base_rebuild", "signed", "hub_like"), ("drop",)),
    ("tag_lifetime", ("ci", "releases", "monorepo", "multi_arch", "signed"), ("0s", "soon", 5)),
    ("layer_size", tuple(sorted(set(SMALL) - {"one_gb", "hub_like"})), (5, Distribution.always(0))),
    ("config_size", tuple(sorted(set(SMALL) - {"one_gb"})), (Distribution.always(0.5),)),
    ("own_layers", ("nightly", "base_rebuild", "multi_arch", "signed", "failed_pushes"), ([3], None)),
    ("builds", ("ci",), (0, float("nan"), True)),
    ("bases", ("ci", "base_rebuild"), (0,)),
    ("dependency_change", ("ci",), (-0.1, 1.1, "x")),
    ("touched", ("monorepo",), (2,)),
    ("commits", ("monorepo",), (-1,)),
    ("products", ("releases",), (0,)),
    ("patches", ("releases",), (-1,)),
    ("minor_every", ("releases",), ("0d", None)),
    ("hour", ("nightly",), (24,)),
    ("keep", ("nightly",), (0,)),
    ("updates", ("base_rebuild",), (-1,)),
    ("burst", ("base_rebuild",), (None,)),
    ("platforms", ("multi_arch",), ([], ["linux/amd64", "linux/amd64"], ["a\nb"])),
    ("attested", ("signed",), (7,)),
    ("sign_after", ("signed",), ("8d",)),
    ("failed", ("failed_pushes",), (-1,)),
    ("cancels", ("failed_pushes",), (2,)),
    ("chunk", ("failed_pushes",), ("much",)),
    ("manifests", ("hub_like",), (0,)),
    ("content", ("one_gb",), ("4EiB", -1)),
    ("wait", ("one_gb",), (None, "0s")),
]


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [(name, parameter, value) for parameter, having, values in BAD for name in having for value in values],
)
def test_what_cannot_be_is_refused(name, parameter, value):
    given = {**SMALL[name], parameter: value}
    with pytest.raises(InvalidValue, match=f"^{parameter} must be"):
        workloads.GENERATORS[name](**given)


def test_a_stream_without_a_working_day_is_refused():
    weekend = Hours(8, 18, (5, 6))
    for name, parameter in (("ci", "builds"), ("monorepo", "commits"), ("failed_pushes", "days with working hours")):
        with pytest.raises(InvalidValue, match=f"^{parameter} must be"):
            workloads.GENERATORS[name](**{**SMALL[name], "days": 5, "hours": weekend, "start": "2026-01-05"})


def test_a_stream_that_would_not_end_before_the_year_10000_is_refused():
    with pytest.raises(InvalidValue, match=r"^start must be so early"):
        generate("base_rebuild", updates=400, base_every=Distribution.always(3_000), start="7000-01-01")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ci", {"services": 1, "branches": 1, "days": 1, "builds": 1, "floating_tags": False, "tag_lifetime": None}),
        ("ci", {"own_layers": Distribution.always(0), "dependency_layers": Distribution.always(0), "bases": 50}),
        ("releases", {"minors": 1, "patches": 0, "tag_lifetime": "1d"}),
        ("monorepo", {"common_change": 1, "touched": 0}),
        ("monorepo", {"services": 1, "commits": 1, "days": 1}),
        ("nightly", {"days": 1, "jitter": 0, "keep": 1, "hour": 23}),
        ("base_rebuild", {"updates": 0, "images": 1, "bases": 4}),
        ("multi_arch", {"platforms": ["linux/amd64"], "releases": 1}),
        ("signed", {"signatures": 0, "attested": 0}),
        ("signed", {"signatures": 0, "attested": 1, "removal": "untag"}),
        ("failed_pushes", {"pushes": 1, "failed": 1, "retried": 1, "chunk": 10**9}),
        ("hub_like", {"manifests": 1}),
        ("hub_like", {"manifests": 3, "repositories": 9, "days": 1}),
    ],
)
def test_the_least_of_everything_is_a_stream_too(name, given):
    registry = qs.replay(generate(name, **given), profile="acr-premium")
    registry.check()
    assert registry.engine.figures()["links"] > 0


# -- what each is about --------------------------------------------------------------------------------


def test_one_gb_rises_by_a_little_more_than_a_gib_and_comes_back():
    stream = generate("one_gb")
    pushed, deleted = stream.time[1], stream.time[2]
    assert deleted - pushed == 15 * 60 * 10**6
    image = layers_of(stream, stream.manifest[1])
    assert image[0] == layers_of(stream, stream.manifest[0])[0]
    assert stream.blobs.size[image[1]] == random_layer_bytes(2**30) > 2**30
    assert f"sha256:{stream.blobs.digest.words256[image[2]].tobytes().hex()}" == EMPTY_LAYER.digest
    usage = qs.replay(stream, profile="refcount")
    charged = usage.events()["charged_bytes"].cumsum().tolist()
    assert charged[1] - charged[0] > 2**30
    assert charged[-1] == charged[0]


def test_ci_builds_in_working_hours_only():
    stream = generate("ci", hours=Hours(9, 17, (0, 1, 2)))
    pushes = rows(stream, TraceOp.PUSH, TraceOp.TAG)
    time = stream.time[pushes]
    hour = time % DAY // 3_600_000_000
    weekday = (time // DAY + 3) % 7
    assert hour.min() >= 9
    assert hour.max() < 17
    assert set(weekday.tolist()) == {0, 1, 2}
    always = generate("ci", hours=Hours.always()).time
    assert set(((always // DAY + 3) % 7).tolist()) == set(range(7))


def test_ci_shares_bases_and_moves_the_tag_of_its_branch():
    stream = generate("ci", bases=1, tag_lifetime=None)
    pushes, tags = rows(stream, TraceOp.PUSH), rows(stream, TraceOp.TAG)
    assert np.array_equal(stream.batch[pushes], stream.batch[tags])
    first = {layers_of(stream, manifest)[0] for manifest in stream.manifest[pushes]}
    assert len(first) == 1
    floating = names(stream, stream.tag[tags])
    own = names(stream, stream.tag[pushes])
    assert all(tag.rsplit("-", 1)[0] == branch for tag, branch in zip(own, floating, strict=True))
    registry = qs.replay(stream, profile="refcount")
    assert len(set(zip(stream.repository[tags].tolist(), floating, strict=True))) == 6
    assert registry.usage().logical_bytes > 2 * registry.usage().unique_bytes
    assert rows(generate("ci", floating_tags=False), TraceOp.TAG).size == 0


@pytest.mark.parametrize("removal", ["delete", "untag"])
def test_ci_keeps_what_is_young_and_the_latest_of_a_branch(removal):
    stream = generate("ci", removal=removal)
    gone = rows(stream, TraceOp.DELETE if removal == "delete" else TraceOp.UNTAG)
    assert gone.size > 20
    pushes = rows(stream, TraceOp.PUSH)
    pushed = dict(zip(stream.manifest[pushes].tolist(), stream.time[pushes].tolist(), strict=True))
    assert all(stream.time[row] - pushed[stream.manifest[row]] >= 5 * DAY for row in gone)
    latest = {}
    for row in rows(stream, TraceOp.TAG):
        latest[stream.repository[row], stream.tag[row]] = stream.manifest[row]
    assert not set(latest.values()) & set(stream.manifest[gone].tolist())


def test_releases_move_their_floating_tags_to_the_highest_version():
    stream = generate("releases", products=1, tag_lifetime=None)
    bound = {}
    for row in rows(stream, TraceOp.PUSH, TraceOp.TAG):
        bound[stream.tags[stream.tag[row]]] = stream.manifest[row]
    assert bound["latest"] == bound["1"] == bound["1.3"] == bound["1.3.3"]
    assert bound["1.0"] == bound["1.0.3"]
    patches = [set(layers_of(stream, bound[f"1.0.{patch}"]).tolist()) for patch in range(4)]
    assert set.intersection(*patches)
    assert not patches[0] & set(layers_of(stream, bound["1.1.0"]).tolist())


def test_releases_never_move_latest_back():
    stream = generate("releases", products=1, minors=6, minor_every="10d", patch_every="9d")
    highest = -1
    version = {}
    for row in range(stream.time.size):
        tag = stream.tags[stream.tag[row]]
        if stream.op[row] == TraceOp.PUSH:
            version[stream.manifest[row]] = int(tag.split(".")[1])
        elif stream.op[row] == TraceOp.TAG and tag == "latest":
            assert version[stream.manifest[row]] >= highest
            highest = version[stream.manifest[row]]
    assert highest == 5


def test_a_commit_tags_every_service_of_a_monorepo():
    stream = generate("monorepo", tag_lifetime=None)
    adds = rows(stream, TraceOp.PUSH, TraceOp.TAG)
    services = {}
    for row in adds:
        services.setdefault(stream.tag[row], []).append(stream.repository[row])
    assert all(sorted(found) == [0, 1, 2, 3] for found in services.values())
    # What was not built is the image of the commit before.
    before = {}
    for row in adds:
        repository, manifest = stream.repository[row], stream.manifest[row]
        assert (before.get(repository) == manifest) == (stream.op[row] == TraceOp.TAG)
        before[repository] = manifest
    assert rows(stream, TraceOp.TAG).size > rows(stream, TraceOp.PUSH).size


def test_a_monorepos_commit_tags_go():
    stream = generate("monorepo")
    gone = rows(stream, TraceOp.UNTAG)
    assert gone.size > 10
    added = {
        (stream.repository[row], stream.tag[row]): stream.time[row] for row in rows(stream, TraceOp.PUSH, TraceOp.TAG)
    }
    for row in gone:
        assert stream.time[row] - added[stream.repository[row], stream.tag[row]] == 7 * DAY


def test_nightly_keeps_so_many_nights():
    stream = generate("nightly", hour=4, jitter=10)
    pushes = rows(stream, TraceOp.PUSH)
    minute = stream.time[pushes] % DAY // 60_000_000
    assert minute.min() >= 240
    assert minute.max() <= 250
    registry = qs.replay(stream, profile="distribution-2.8")
    images = registry.images()
    assert images.groupby("repository", observed=True).size().tolist() == [5, 5, 5]
    kept = {tag for tags in images["tags"] for tag in tags.split(", ")}
    assert kept == {"nightly", *(f"2026-01-{day}" for day in range(16, 21))}
    assert rows(generate("nightly", keep=None), TraceOp.DELETE).size == 0


def test_every_image_on_a_base_is_pushed_again_after_the_base():
    stream = generate("base_rebuild", burst="3h")
    pushes = rows(stream, TraceOp.PUSH)
    when, layers, version_of = {}, {}, {}
    for row in pushes:
        version = int(stream.tags[stream.tag[row]].split("-")[1])
        key = stream.repositories[stream.repository[row]], version
        when[key], layers[key] = stream.time[row], layers_of(stream, stream.manifest[row]).tolist()
        version_of.setdefault(version, []).append(key[0])
    assert set(version_of) == {1, 2, 3, 4}
    for version, repositories in version_of.items():
        assert len(repositories) == 8
        for number in range(6):
            base, image = (f"bases/base-{number % 2:02}", version), (f"apps/app-{number:04}", version)
            assert 0 < when[image] - when[base] <= 3 * 3_600_000_000
            of_base = layers[base]
            assert layers[image][: len(of_base)] == of_base
            assert len(layers[image]) > len(of_base)
            if version > 1:
                assert not set(layers[image]) & set(layers[image[0], version - 1])


def test_the_indexes_of_releases_have_their_children_beside_them():
    stream = generate("multi_arch")
    content = stream.manifests
    indexes = np.flatnonzero(content.kind == Kind.INDEX)
    assert indexes.size == 12
    pushed = {stream.manifest[row]: row for row in rows(stream, TraceOp.PUSH)}
    for index in indexes:
        children = layers_of(stream, index)
        assert children.size == 5
        platforms = content.target_platform[content.indptr[index] : content.indptr[index + 1]]
        assert [stream.platforms[code] for code in platforms] == list(stream.platforms)
        for child in children:
            assert content.kind[child] == Kind.IMAGE
            assert stream.tag[pushed[child]] == NULL
            assert stream.batch[pushed[child]] == stream.batch[pushed[index]]
            assert pushed[child] < pushed[index]
            assert stream.repository[pushed[child]] == stream.repository[pushed[index]]


def test_a_release_goes_with_its_children():
    stream = generate("multi_arch")
    gone = rows(stream, TraceOp.DELETE)
    deleted = stream.manifest[gone]
    is_index = stream.manifests.kind[deleted] == Kind.INDEX
    assert 0 < is_index.sum() < 12
    assert {child for index in deleted[is_index] for child in layers_of(stream, index)} == set(deleted[~is_index])
    # Harbor refuses to delete a child of an index that is there: here none is.
    log = qs.replay(stream, profile="harbor").events()
    assert (log["kind"] != "REFUSE").all()


def test_the_subject_of_every_signature_is_there():
    stream = generate("signed")
    content = stream.manifests
    linked = set()
    signatures = np.zeros(len(content.digest), int)
    for row in range(stream.time.size):
        key = stream.repository[row], stream.manifest[row]
        subject = content.subject[stream.manifest[row]]
        if stream.op[row] == TraceOp.DELETE:
            assert subject == NULL
            linked.discard(key)
            continue
        if subject != NULL:
            assert (stream.repository[row], subject) in linked
            assert stream.tag[row] == NULL
            signatures[subject] += 1
        linked.add(key)
    images = np.flatnonzero(content.subject == NULL)
    assert set(signatures[images].tolist()) == {2, 3}
    assert rows(stream, TraceOp.DELETE).size > 0


def test_failed_pushes_leave_orphan_blobs_and_unfinished_uploads():
    stream = generate("failed_pushes", retried=0, cancels=0)
    started, finished = rows(stream, TraceOp.START_UPLOAD), rows(stream, TraceOp.UPLOAD)
    failed = started.size - finished.size
    assert failed > 10
    # One that keeps what it gets.
    registry = qs.replay(stream, profile=replace(by_name("distribution-2.8"), uploads_purged_after=None))
    uploads = registry.uploads()
    assert len(uploads) == failed
    assert all(upload.received_bytes > 0 for upload in uploads)
    usage = registry.usage()
    assert usage.upload_bytes == sum(upload.received_bytes for upload in uploads)
    orphans = usage.stored_bytes - usage.unique_bytes
    assert orphans == stream.blobs.size[stream.blob[finished]].sum() > 0
    # The failed pushes have no manifest; those that worked have.
    assert len(registry.images()) == 3 + 60 - failed


def test_failed_pushes_that_are_tried_again_adopt_what_they_left():
    stream = generate("failed_pushes", retried=1, cancels=0)
    usage = qs.replay(stream, profile="distribution-2.8").usage()
    assert usage.stored_bytes == usage.unique_bytes
    assert usage.upload_bytes > 0
    assert rows(stream, TraceOp.PUSH).size == 63


def test_failed_pushes_may_give_their_uploads_up():
    stream = generate("failed_pushes", cancels=1)
    assert rows(stream, TraceOp.CANCEL_UPLOAD).size > 10
    assert qs.replay(stream, profile="distribution-2.8").uploads() == []


def test_nothing_fails_where_nothing_should():
    stream = generate("failed_pushes", failed=0)
    assert set(stream.op.tolist()) == {TraceOp.PUSH}
    assert stream.time.size == 63


@given(
    chunk=st.integers(1, 50_000_000),
    seed=st.integers(0, 2**32),
    sizes=st.sampled_from([Distribution.always(1), Distribution.always(8_388_608), Distribution.between(1, 10**8)]),
)
def test_no_upload_receives_more_than_its_blob(chunk, seed, sizes):
    chunk = max(chunk, int(sizes.values[-1]) // 50)
    stream = workloads.failed_pushes(
        repositories=1, pushes=6, failed=1, cancels=0.5, chunk=chunk, layer_size=sizes, seed=seed
    )
    received, blob_of, ended = {}, {}, set()
    for row in range(stream.time.size):
        upload = stream.upload[row]
        if stream.op[row] == TraceOp.APPEND:
            assert 0 < stream.amount[row] <= chunk
            assert upload not in ended
            received[upload] = received.get(upload, 0) + stream.amount[row]
        elif stream.op[row] in (TraceOp.UPLOAD, TraceOp.CANCEL_UPLOAD):
            ended.add(upload)
            blob_of[upload] = stream.blob[row]
    for upload in ended:
        if blob_of[upload] != NULL:
            assert received[upload] == stream.blobs.size[blob_of[upload]]


def test_hub_likes_images_are_pushed_once_each_with_layers_that_are_all_there():
    stream = generate("hub_like")
    pushes = rows(stream, TraceOp.PUSH)
    assert sorted(stream.manifest[pushes].tolist()) == list(range(400))
    for manifest in range(400):
        layers = layers_of(stream, manifest)
        assert np.all(np.diff(layers) > 0)


def test_hub_likes_layers_come_base_first():
    """The layers that were there before come before those that are new: what changes lies on top."""
    stream = generate("hub_like")
    known = -1
    for manifest in stream.manifest[rows(stream, TraceOp.PUSH)]:
        new = layers_of(stream, manifest)
        new = new[new > known]
        assert new.tolist() == list(range(known + 1, known + 1 + new.size))
        known = max(known, int(new[-1]) if new.size else known)


@pytest.mark.parametrize("removal", ["delete", "untag"])
def test_hub_like_leaves_as_many_images_as_tags(removal):
    stream = generate("hub_like", removal=removal)
    registry = qs.replay(stream, profile="refcount")
    bound = registry.engine.figures()
    assert bound["live_manifests"] == bound["bindings"] > 0
    assert (rows(stream, TraceOp.DELETE).size > 0) == (removal == "delete")


def test_hub_like_ends_in_time():
    stream = generate("hub_like", days=10)
    assert stream.time[-1] - stream.time[0] < 10 * DAY
