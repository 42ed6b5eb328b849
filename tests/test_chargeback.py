"""Who pays for which part of a charge: small stories worked out by hand. ``test_machine.py`` has the random ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

import quotasim as qs
from quotasim import frames
from quotasim.kernels import sharing
from quotasim.profiles import PROFILES, by_name

from .strategies import START

UNATTRIBUTED = "(unattributed)"
BASE = qs.Blob.synthetic("base", 101)
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
every_kind = pytest.mark.parametrize("kind", sorted(PROFILES))


def image(name, *layers):
    """An image of some layers, without a config."""
    return qs.Image([*layers, qs.Blob.synthetic(name, 10)])


def layers_only(kind, **changes):
    """A kind that charges layers alone, so that figures can be done in the head."""
    return replace(by_name(kind), counts_config=False, counts_manifests=False, **changes)


def attributed(registry, by):
    return {row.name: row.attributed_bytes for row in registry.chargeback(by)}


def figures(registry, by):
    return {row.name: (row.logical_bytes, row.exclusive_bytes, row.attributed_bytes) for row in registry.chargeback(by)}


@pytest.fixture
def pushed():
    """Two repositories of one namespace and one of another share a base."""

    def push(profile):
        registry = qs.Registry(profile, start=START)
        for name in ("b/two:1", "a/one:1", "a/other:1"):
            registry.push(name, image(name, BASE))
        return registry

    return push


def test_a_blob_of_the_registry_is_split_between_all_and_odd_bytes_go_by_name(pushed):
    registry = pushed(layers_only("acr-basic"))
    assert figures(registry, "namespace") == {"a": (222, 20, 71), "b": (111, 10, 60)}
    assert figures(registry, "repository") == {"a/one": (111, 10, 44), "a/other": (111, 10, 44), "b/two": (111, 10, 43)}
    assert figures(registry, "registry") == {"": (333, 131, 131)}
    assert registry.usage().charged_bytes == 131


def test_a_blob_of_a_namespace_is_split_within_it(pushed):
    registry = pushed(layers_only("gar"))
    assert figures(registry, "namespace") == {"a": (222, 121, 121), "b": (111, 111, 111)}
    assert figures(registry, "repository") == {
        "a/one": (111, 10, 61),
        "a/other": (111, 10, 60),
        "b/two": (111, 111, 111),
    }
    assert figures(registry, "registry") == {"": (333, 232, 232)}


def test_a_blob_of_a_repository_is_paid_for_in_each(pushed):
    registry = pushed("ecr")
    assert attributed(registry, "namespace") == {"a": 222, "b": 111}
    assert figures(registry, "registry") == {"": (333, 333, 333)}


def test_images_of_a_repository_share_what_it_is_charged():
    registry = qs.Registry("ecr", start=START)
    for name in ("app:2", "app:1", "web:1"):
        registry.push(name, image(name, BASE))
    assert attributed(registry, "image") == {"app:1": 61, "app:2": 60, "web:1": 111}


def test_where_tags_count_only_what_a_tag_reaches_pays():
    registry = qs.Registry("gitlab", start=START)
    for name in ("a/one:1", "a/two:1"):
        registry.push(name, image(name, BASE))
    assert attributed(registry, "repository") == {"a/one": 61, "a/two": 60}
    registry.untag("a/one:1")
    assert attributed(registry, "repository") == {"a/one": 0, "a/two": 111}
    # In a scope a manifest is reached or not, whichever of its repositories has the tag: who links it holds it.
    registry.push("a/three:1", image("a/one:1", BASE))
    assert attributed(registry, "repository") == {"a/one": 39, "a/three": 39, "a/two": 43}
    assert sum(attributed(registry, "repository").values()) == registry.usage().charged_bytes == 121


def test_an_upload_that_no_manifest_names_is_nobodys_until_one_does():
    registry = qs.Registry(layers_only("harbor"), start=START)
    registry.push("a/one:1", image("a/one:1", BASE))
    registry.upload("a/two", qs.Blob.synthetic("loose", 7))
    registry.upload("a/two", BASE)  # in this project it has a holder already
    registry.upload("b/two", BASE)  # in this one it has none
    assert figures(registry, "namespace") == {"a": (111, 111, 111), UNATTRIBUTED: (108, 108, 108)}
    registry.push("a/two:1", image("last", qs.Blob.synthetic("loose", 7)))
    assert attributed(registry, "namespace") == {"a": 128, UNATTRIBUTED: 101}
    assert registry.usage().charged_bytes == 229


def test_on_disk_what_was_deleted_is_nobodys_and_what_was_swept_is_not_charged():
    registry = qs.Registry("distribution-2.8", start=START)
    wide = qs.Blob("sha512:" + "5a" * 64, 700)  # which its collector sweeps, whatever names it
    registry.push("a/one:1", image("x", BASE))
    registry.push("a/two:1", image("y", BASE, wide))
    size = {name: registry.why(name).logical_bytes for name in ("a/one:1", "a/two:1")}
    assert attributed(registry, "namespace") == {"a": sum(size.values()) - 101 - 2}  # both have the config "{}"
    registry.delete("a/one:1")
    assert attributed(registry, "repository") == {"a/two": size["a/two:1"], UNATTRIBUTED: size["a/one:1"] - 101 - 2}
    registry.apply(registry.plan_gc())
    assert [damage.missing for damage in registry.damage()] == [(wide.digest,)]
    left = size["a/two:1"] - 700
    assert figures(registry, "repository") == {"a/two": (left, left, left)}
    assert registry.usage().charged_bytes == left


def test_foreign_layers_are_paid_for_only_where_they_count():
    far = qs.Blob.synthetic("far", 5_000, FOREIGN)
    for kind, size in (("refcount", 5_010), ("acr-basic", 10)):
        registry = qs.Registry(layers_only(kind), start=START)
        registry.push("a/one:1", image("x", far))
        assert figures(registry, "namespace") == {"a": (size, size, size)}


def test_a_child_of_two_indexes_is_split_between_their_images():
    registry = qs.Registry(layers_only("acr-basic"), start=START)
    child = qs.Image([BASE])
    for name, other in (("app:1", 20), ("app:2", 30)):
        registry.push_index(
            name, {"linux/amd64": child, "linux/arm64": qs.Image([qs.Blob.synthetic(f"arm {name}", other)])}
        )
    assert figures(registry, "image") == {"app:1": (121, 20, 71), "app:2": (131, 30, 80)}


def test_the_law_that_parts_add_up_can_fail(pushed, monkeypatch):
    """It is no tautology: the ledger, which has the charge, knows nothing of the split."""
    registry = pushed("acr-basic")
    monkeypatch.setattr(sharing, "share_charge", lambda *arguments: None)
    assert sum(attributed(registry, "namespace").values()) != registry.usage().charged_bytes


@every_kind
@pytest.mark.parametrize("by", ["registry", "namespace", "repository", "image"])
def test_of_every_kind_parts_add_up_to_the_charge_and_costs_to_the_bill(kind, by, pushed):
    registry = pushed(kind)
    registry.upload("a/one", qs.Blob.synthetic("loose", 1_000))
    registry.push("c:1", qs.Image([BASE], qs.Blob.synthetic("config", 40)))
    registry.untag("c:1")
    rows = registry.chargeback(by)
    assert sum(row.attributed_bytes for row in rows) == registry.usage().charged_bytes > 0
    for row in rows:
        assert row.exclusive_bytes <= row.attributed_bytes <= row.logical_bytes
    if registry.profile.price is None:
        assert {(row.cost, row.currency) for row in rows} == {(None, None)}
    else:
        assert sum(row.cost for row in rows) == registry.bill()
        assert {row.currency for row in rows} == {"USD"}


@every_kind
def test_an_empty_registry_is_split_between_nobody(kind):
    rows = qs.Registry(kind, start=START).chargeback()
    fee = kind.startswith("acr")
    assert [row.name for row in rows] == [UNATTRIBUTED] * fee
    assert not any(row.attributed_bytes for row in rows)


def test_asking_changes_nothing_and_a_branch_answers_for_itself(pushed):
    registry = pushed("acr-basic")
    before = registry.chargeback("image")
    branch = registry.branch("other")
    branch.delete("b/two:1")
    assert [row.name for row in branch.chargeback()] == ["a"]
    assert registry.chargeback("image") == before
    registry.check()


def test_another_grouping_is_refused(pushed):
    with pytest.raises(qs.InvalidValue, match="registry, namespace, repository, image"):
        pushed("ecr").chargeback("layer")


# -- as a frame


def test_the_frame_is_sorted_by_name_with_the_unattributed_last(pushed):
    registry = pushed("acr-basic")
    rows = [*registry.chargeback("repository"), qs.ChargeRow(UNATTRIBUTED, 5, 5, 5, Decimal("0.000001"), "USD")]
    frame = frames.chargeback(rows[::-1])
    assert list(frame["name"]) == ["a/one", "a/other", "b/two", UNATTRIBUTED]
    assert frame["attributed_bytes"].tolist() == [row.attributed_bytes for row in rows]
    assert sum(frame["cost"]) == registry.bill() + Decimal("0.000001")
    assert list(frame["currency"].cat.categories) == ["USD"]


def test_an_empty_frame_and_one_without_prices_have_the_same_columns(pushed):
    full, free, empty = (
        frames.chargeback(rows) for rows in (pushed("ecr").chargeback(), pushed("harbor").chargeback(), [])
    )
    for frame in (free, empty):
        assert frame.drop(columns="currency").dtypes.equals(full.drop(columns="currency").dtypes)
        assert frame["currency"].dtype.name == "category"
    assert free["cost"].isna().all()
    assert free["currency"].isna().all()
    assert full["attributed_bytes"].dtype == "int64"


def test_figures_past_63_bits_stay_exact():
    registry = qs.Registry(layers_only("ecr"), start=START)
    for number in range(3):
        registry.push(f"a/{number}:1", qs.Image([qs.Blob.synthetic(f"huge {number}", 2**62 + number)]))
    (row,) = registry.chargeback("registry")
    assert row.attributed_bytes == row.logical_bytes == 3 * 2**62 + 3
    assert frames.chargeback([row])["attributed_bytes"].tolist() == [3 * 2**62 + 3]
