"""Frames that say why: who holds what is what ``why`` says, and a deletion's steps add up to what it frees."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import quotasim as qs
from quotasim import frames

from .programs import programs, references, run
from .strategies import PROFILES, START, checked

MIB = 2**20
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
BASE, OWN, CONFIG = 160 * MIB, 40 * MIB, 30_000
DAY = pd.Timedelta(days=1)

DTYPES = {
    "step": "category",
    "kind": "category",
    "at": "datetime64[us, UTC]",
    "after": "timedelta64[us]",
    "cause": "str",
    "bytes": "int64",
    "begin_bytes": "int64",
    "end_bytes": "int64",
}
HOLDER_DTYPES = {"image": "category", "digest": "category", "size": "Int64", "role": "category", "holders": "int64"}


def image(name: str, *more: qs.Blob) -> qs.Image:
    """Return an image with a layer of its own on the base that all share."""
    base, own = qs.Blob.synthetic("base", BASE), qs.Blob.synthetic(name, OWN)
    return qs.Image([base, own, *more], qs.Blob.synthetic(f"{name} config", CONFIG))


MANIFEST = image("web").size


def two(kind: str) -> qs.Registry:
    """Return a registry with two images on one base, in one namespace, at rest."""
    registry = qs.Registry(kind, start=START)
    for name in ("api", "web"):
        registry.push(f"team/{name}:1", image(name))
    registry.advance("3h")
    return registry


def steps(frame: pd.DataFrame) -> dict[str, int]:
    """Return the totals and the changes that are not 0."""
    whole = frame[(frame["kind"] != "part") & (frame["bytes"] != 0)]
    return dict(zip(whole["step"], whole["bytes"], strict=True))


def parts(frame: pd.DataFrame, figure: str) -> list[tuple[pd.Timedelta, int]]:
    """Return when how much of a total is freed."""
    of = frame[frame["step"] == f"{figure}_at"]
    return list(zip(of["after"], of["bytes"], strict=True))


def adds_up(frame: pd.DataFrame, promise: qs.Preview) -> None:
    """Check that every step goes on where the one before ends, and that the totals are what is promised."""
    assert frame.dtypes.astype(str).to_dict() == DTYPES
    assert (frame["end_bytes"] - frame["begin_bytes"] == frame["bytes"]).all()
    whole = frame[frame["kind"] != "part"]
    assert whole["step"].tolist() == [name for name in frames.DELETION_STEPS if not name.endswith("_at")]
    changes = whole["kind"] == "change"
    ends = whole["end_bytes"].shift(fill_value=0)
    assert (whole["begin_bytes"][changes] == ends[changes]).all()
    assert (whole["begin_bytes"][~changes] == 0).all()
    for total, freed in (("charged", promise.freed_charged_bytes), ("stored", promise.freed_stored_bytes)):
        place = whole["step"].tolist().index(total)
        assert whole["end_bytes"].iloc[place] == freed == whole["end_bytes"].iloc[place - 1]
        of = frame[frame["step"] == f"{total}_at"]
        assert of["bytes"].sum() == freed
        assert (of["begin_bytes"] == of["end_bytes"].shift(fill_value=0)).all()
        assert of["at"].is_monotonic_increasing
    assert (whole["bytes"][whole["step"].isin(["repeated", "uncharged", "shared", "kept"])] <= 0).all()
    is_part = frame["kind"] == "part"
    assert (frame["at"].notna() == is_part).all()
    assert (frame["after"].notna() == is_part).all()
    assert ((frame["cause"] != "") == is_part).all()


# -- the steps of a deletion


@pytest.mark.parametrize("name", PROFILES)
def test_steps_add_up_whatever_is_deleted(name):
    @checked(15)
    @given(programs, st.lists(st.integers(0, 999), min_size=1, max_size=3))
    def law(program, which):
        registry = qs.Registry(PROFILES[name], start=START)
        run(registry, program)
        there = references(registry)
        assume(there)
        promise = registry.preview(delete=sorted({there[number % len(there)] for number in which}))
        adds_up(frames.deletion(promise), promise)

    law()


@pytest.mark.parametrize(
    ("kind", "charged", "stored_after"),
    [
        ("acr-premium", OWN + CONFIG + MANIFEST, pd.Timedelta(minutes=5)),
        ("gitlab", OWN, 2 * DAY),  # layers only
        ("distribution-2.8", OWN + CONFIG + MANIFEST, pd.Timedelta(0)),
        ("harbor", OWN + CONFIG + MANIFEST, pd.Timedelta(hours=2)),
        ("refcount", OWN + CONFIG + MANIFEST, pd.Timedelta(0)),
    ],
)
def test_what_is_shared_stays_and_the_disk_follows_in_the_kinds_time(kind, charged, stored_after):
    promise = two(kind).preview(delete=["team/web:1"])
    frame = frames.deletion(promise)
    adds_up(frame, promise)
    stays = OWN + CONFIG + MANIFEST - charged
    expected = {"deleted": BASE + OWN + CONFIG + MANIFEST, "uncharged": -stays, "shared": -BASE, "charged": charged}
    expected |= {"disk": stays, "stored": charged + stays}
    assert steps(frame) == {step: size for step, size in expected.items() if size}
    assert parts(frame, "charged") == [(pd.Timedelta(0), charged)]
    assert parts(frame, "stored") == [(stored_after, charged + stays)]


def test_with_the_last_image_the_base_goes_and_counts_once():
    promise = two("acr-premium").preview(delete=["team/web:1", "team/api:1"])
    frame = frames.deletion(promise)
    adds_up(frame, promise)
    own = 2 * (OWN + CONFIG) + image("web").size + image("api").size
    assert steps(frame) == {
        "deleted": 2 * BASE + own,
        "repeated": -BASE,
        "charged": BASE + own,
        "stored": BASE + own,
    }


def test_nothing_is_freed_where_another_repository_has_the_same_image():
    registry = two("acr-premium")
    registry.push("other/web:1", image("web"))
    promise = registry.preview(delete=["team/web:1"])
    frame = frames.deletion(promise)
    adds_up(frame, promise)
    assert steps(frame) == {"deleted": promise.logical_bytes, "shared": -promise.logical_bytes}
    assert promise.logical_bytes > 0
    assert parts(frame, "charged") == parts(frame, "stored") == []


def test_each_repository_gives_back_its_charge_where_a_repository_is_charged():
    registry = two("ecr")  # a blob counts once in each repository, and lies on the disk once
    promise = registry.preview(delete=["team/web:1"])
    frame = frames.deletion(promise)
    adds_up(frame, promise)
    assert steps(frame)["charged"] == BASE + OWN  # of layers alone
    assert steps(frame)["disk"] == CONFIG + MANIFEST - BASE
    assert "shared" not in steps(frame)


def test_foreign_layers_were_not_charged():
    registry = qs.Registry("acr-premium", start=START)
    registry.push("team/win:1", image("win", qs.Blob.synthetic("foreign", 7 * MIB, media_type=FOREIGN)))
    frame = frames.deletion(promise := registry.preview(delete=["team/win:1"]))
    adds_up(frame, promise)
    assert steps(frame)["uncharged"] == -7 * MIB
    assert "shared" not in steps(frame)


def test_garbage_that_a_collection_takes_anyway_is_freed_besides():
    registry = two("distribution-2.8")
    registry.delete("team/api:1")
    promise = registry.preview(delete=["team/web:1"])
    frame = frames.deletion(promise)
    adds_up(frame, promise)
    assert steps(frame)["other"] == promise.already_reclaimable_bytes > 0


def test_a_refused_deletion_moves_nothing():
    registry = two("acr-premium")
    registry.lock("team/web:1", delete=False)
    promise = registry.preview(delete=["team/web:1"])
    frame = frames.deletion(promise)
    adds_up(frame, promise)
    assert steps(frame) == {}


# -- who holds what


@pytest.mark.parametrize("name", PROFILES)
def test_holders_are_those_that_why_names(name):
    @checked(8)
    @given(programs)
    def law(program):
        registry = qs.Registry(PROFILES[name], start=START)
        run(registry, program)
        there = references(registry)
        frame = frames.holders(registry.engine, there, largest=1)
        assert frame.dtypes.astype(str).to_dict() == HOLDER_DTYPES
        found = {
            image: sorted(zip(part["digest"], part["role"], part["holders"], strict=True))
            for image, part in frame.groupby("image", observed=True)
        }
        for reference in there:
            answer = registry.why(reference)
            title = answer.tags[0] if answer.tags else reference
            assert found[title] == sorted((blob.digest, blob.role, blob.holders) for blob in answer.blobs)
        sizes = frame.drop_duplicates("digest").set_index("digest")["size"]
        assert sizes.to_dict() == registry.blobs().set_index("digest")["size"].reindex(sizes.index).to_dict()

    law()


def test_holders_are_sorted_and_without_references_the_largest_images():
    registry = two("refcount")
    registry.push("team/small:1", qs.Image([qs.Blob.synthetic("little", 5)]))
    frame = frames.holders(registry.engine, largest=2)
    assert frame["image"].cat.categories.tolist() == ["team/api:1", "team/web:1"]
    web = frame[frame["image"] == "team/web:1"]
    assert web["role"].tolist() == ["layer", "layer", "config", "manifest"]
    assert web["size"].tolist() == [BASE, OWN, CONFIG, image("web").size]
    assert web["holders"].tolist() == [2, 1, 1, 1]
    every = frames.holders(registry.engine)
    assert every["image"].nunique() == 3
    # An image that two references name is one.
    registry.tag("team/web:1", "2")
    assert frames.holders(registry.engine, ["team/web:2", "team/web:1"]).equals(
        frames.holders(registry.engine, ["team/web:1"])
    )


def test_an_empty_registry_has_no_holders_and_wrong_calls_are_refused():
    engine = qs.Registry("refcount", start=START).engine
    frame = frames.holders(engine)
    assert (len(frame), frame.dtypes.astype(str).to_dict()) == (0, HOLDER_DTYPES)
    assert len(frames.holders(engine, [])) == 0
    with pytest.raises(qs.InvalidValue, match=r"^largest must be"):
        frames.holders(engine, largest=0)
    with pytest.raises(qs.InvalidValue, match=r"^references must be"):
        frames.holders(engine, "team/web:1")
    with pytest.raises(qs.UnknownReference):
        frames.holders(engine, ["team/web:1"])


def test_rows_of_df_as_a_frame():
    registry = two("refcount")
    frame = frames.sharing(registry.df("repository"))
    columns = frame.columns.tolist()
    assert frame.equals(frames.repositories(registry.engine)[columns])
    assert frame["shared_bytes"].tolist() == [BASE, BASE]
    empty = frames.sharing([])
    assert empty.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()
