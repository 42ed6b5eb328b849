"""The Registry as its users call it: what each call answers, and what a wrong call says."""

from __future__ import annotations

from dataclasses import replace

import pytest

import quotasim as qs

from .strategies import FOREIGN_LAYER, START

KIB = 1024
EMPTY_CONFIG = 2  # "{}", which an image has that is given none
BASE = qs.Blob.synthetic("base", 1_000 * KIB)
APP = qs.Image([BASE, qs.Blob.synthetic("app", 10 * KIB)], qs.Blob.synthetic("app config", 500))
WEB = qs.Image([BASE, qs.Blob.synthetic("web", 20 * KIB)], qs.Blob.synthetic("web config", 600))


@pytest.fixture
def registry() -> qs.Registry:
    """Two images on one base, in an Azure registry."""
    made = qs.Registry("acr-premium", start=START)
    made.push("team/app:1", APP)
    made.push("team/web:1", WEB)
    made.advance("10min")
    return made


# -- pushes


def test_a_push_says_what_was_uploaded_and_what_was_there(registry):
    again = registry.push("other/app:1", APP)
    assert (again.accepted, again.uploaded_bytes) == (True, 0)
    assert again.deduplicated_bytes == BASE.size + 10 * KIB + 500 + APP.size
    assert again.verdict.decision is qs.Decision.ACCEPT
    assert again.verdict.needed_bytes == 0


def test_one_known_digest_with_another_size_is_an_error_that_names_both(registry):
    lie = qs.Image([qs.Blob(BASE.digest, BASE.size + 1)])
    with pytest.raises(qs.DigestConflict) as caught:
        registry.push("team/app:2", lie)
    assert (caught.value.digest, caught.value.known, caught.value.given) == (BASE.digest, BASE.size, BASE.size + 1)
    assert str(BASE.size) in str(caught.value).replace(",", "")
    assert str(BASE.size + 1) in str(caught.value).replace(",", "")


def test_no_tag_means_latest_and_never_the_repository(registry):
    registry.push("team/app", APP)
    assert registry.why("team/app:latest").manifest == APP.digest
    assert set(registry.delete("team/app").untagged) == {"team/app:1", "team/app:latest"}


def test_an_index_is_pushed_with_its_children(registry):
    index = registry.push_index("team/multi:1", {"linux/amd64": APP, "linux/arm64": WEB})
    assert index.accepted
    assert registry.why("team/multi:1").manifest == index.manifest
    assert registry.why(f"team/multi@{APP.digest}").exclusive_bytes == 0
    hazards = registry.hazards(delete=["team/multi:1"])
    assert [hazard.kind for hazard in hazards] == ["children-left"]
    assert len(hazards[0].affected) == 2


def test_a_refused_push_has_its_numbers_and_changes_nothing():
    registry = qs.Registry("refcount", start=START, limit=BASE.size)
    before = registry.usage()
    refused = registry.push("team/app:1", APP)
    assert not refused.accepted
    assert refused.uploaded_bytes == refused.deduplicated_bytes == 0
    verdict = refused.verdict
    assert (verdict.decision, verdict.limit_bytes, verdict.used_bytes) == (qs.Decision.REJECT, BASE.size, 0)
    assert verdict.needed_bytes == BASE.size + 10 * KIB + 500 + APP.size
    assert registry.usage() == before
    assert registry.events()["kind"].tolist() == ["REFUSE"]


def test_above_what_is_included_a_push_is_let_in_with_a_warning():
    registry = qs.Registry("acr-basic", start=START)
    large = registry.push("team/large:1", qs.Image([qs.Blob.synthetic("large", 11 * 2**30)]))
    assert large.accepted
    assert large.verdict.decision is qs.Decision.WARN
    assert large.verdict.limit_bytes == registry.usage().limit_bytes == 10 * 2**30


def test_foreign_layers_are_named_and_not_stored():
    far = qs.Blob.synthetic("windows", 5_000, FOREIGN_LAYER)
    image = qs.Image([far])
    for profile, counted in (("acr-premium", 0), ("refcount", 5_000)):
        registry = qs.Registry(profile, start=START)
        registry.push("win:1", image)
        usage = registry.usage()
        assert (usage.foreign_bytes, usage.logical_bytes) == (5_000, 5_000 + image.size + EMPTY_CONFIG)
        assert usage.charged_bytes == usage.stored_bytes == image.size + EMPTY_CONFIG + counted


def test_an_unknown_size_is_said_and_counts_nothing():
    registry = qs.Registry("refcount", start=START)
    unknown, known = qs.Blob("sha256:" + "1" * 64, None), qs.Blob("sha256:" + "2" * 64, 7)
    registry.push("app:1", qs.Image([unknown, known], digest="sha256:" + "3" * 64, size=100))
    usage = registry.usage()
    assert (usage.unknown_size_count, usage.unique_bytes) == (1, 7 + 100)
    assert registry.why("app:1").blobs[-1].size is None


def test_a_total_past_two_to_the_63_is_exact():
    registry = qs.Registry("refcount", start=START)
    images = [qs.Image([qs.Blob(f"sha256:{digit * 64}", 2**62)]) for digit in "abc"]
    for tag, image in enumerate(images):
        registry.push(f"app:{tag}", image)
    charged = 3 * 2**62 + sum(image.size for image in images) + EMPTY_CONFIG
    assert registry.usage().charged_bytes == charged
    assert registry.df()[0].attributed_bytes == charged


def test_a_manifest_past_two_to_the_63_is_refused_as_input():
    layers = [qs.Blob("sha256:" + "a" * 64, 2**62), qs.Blob("sha256:" + "b" * 64, 2**62)]
    with pytest.raises(qs.ManifestTooLarge) as caught:
        qs.Image(layers)
    assert caught.value.limit == 2**63 - 1 < caught.value.listed_bytes


# -- tags, locks, deletions


def test_tags_move_and_go(registry):
    registry.tag("team/app:1", "stable")
    assert registry.why("team/app:stable").tags == ("team/app:1", "team/app:stable")
    assert registry.exclusive_bytes(["team/app:stable"]) == 0
    registry.untag("team/app:stable")
    with pytest.raises(qs.UnknownReference):
        registry.why("team/app:stable")
    with pytest.raises(qs.InvalidReference):
        registry.untag(f"team/app@{APP.digest}")


def test_what_is_locked_stays(registry):
    registry.lock("team/app:1", write=True, delete=False)
    with pytest.raises(qs.Locked) as caught:
        registry.delete("team/web:1", "team/app:1")
    assert (caught.value.reference, caught.value.lock) == ("team/app:1", "delete")
    assert registry.why("team/web:1").manifest == WEB.digest
    promise = registry.preview(delete=["team/app:1"])
    assert [(hazard.kind, hazard.severity) for hazard in promise.hazards] == [("locked", "blocking")]
    assert (promise.freed_charged_bytes, promise.freed_stored_bytes, promise.deleted) == (0, 0, ())
    registry.unlock("team/app:1")
    assert registry.delete("team/app:1").freed_charged_bytes > 0


def test_a_repositorys_lock_covers_all_in_it(registry):
    registry.lock("team/app/", write=False)
    assert not registry.push("team/app:2", WEB).accepted
    with pytest.raises(qs.Locked):
        registry.delete_repository("team/app")


def test_the_untagged_go_together(registry):
    registry.push("team/app:1", WEB)
    assert registry.delete("team/app@untagged").deleted == (f"team/app@{APP.digest}",)


def test_deployed_images_are_hazards_with_all_that_belongs_to_them(registry):
    registry.push_index("team/multi:1", {"linux/amd64": APP, "linux/arm64": WEB})
    child = APP.on("linux/amd64")
    kinds = {hazard.kind for hazard in registry.hazards(delete=["team/multi:1"], deployed=[child.digest])}
    assert "deployed" in kinds


# -- what is asked


def test_why_says_who_holds_the_base(registry):
    answer = registry.why("team/app:1")
    base = answer.blobs[0]
    assert (base.digest, base.holders, base.held_by) == (BASE.digest, 2, ("team/web:1",))
    assert answer.exclusive_bytes == 10 * KIB + 500 + APP.size
    assert answer.exclusive_bytes + answer.shared_bytes == answer.unique_bytes


def test_the_display_has_the_vendors_shape(registry):
    shown = registry.show_usage()
    size, replicas = shown["value"]
    assert replicas == {"name": "Geo-replications", "limit": -1, "currentValue": 0, "unit": "Count"}
    assert size == {
        "name": "Size",
        "limit": 536_870_912_000,
        "currentValue": registry.usage().charged_bytes,
        "unit": "Bytes",
    }
    assert qs.Registry("distribution-2.8", start=START).show_usage()["value"][0]["limit"] == -1


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda r: r.why("team/ap:1"), qs.UnknownReference, "team/app:1"),
        (lambda r: r.delete("team/app:2"), qs.UnknownReference, "team/app:1"),
        (lambda r: r.delete_repository("team/appp"), qs.UnknownRepository, "team/app"),
        (lambda r: r.delete(), qs.InvalidValue, "at least one"),
        (lambda r: r.preview(delete="team/app:1"), qs.InvalidValue, "list"),
        (lambda r: r.exclusive_bytes("team/app:1"), qs.InvalidValue, "list"),
        (lambda r: r.df(by="month"), qs.InvalidValue, "namespace"),
        (lambda r: r.advance(), qs.InvalidValue, "duration"),
        (lambda r: r.advance(to="2025-01-01"), qs.TimeReversed, "before now"),
        (lambda r: r.advance("-5min"), qs.QuotaSimError, "-5min"),
        (lambda r: r.push("team/App:1", APP), qs.InvalidReference, "team/App"),
        (lambda r: r.push(f"team/app@{WEB.digest}", APP), qs.InvalidReference, APP.digest),
        (lambda r: r.push("team/app:1", "an image"), qs.InvalidValue, "Image"),
        (lambda r: qs.Registry("acr-premum"), qs.UnknownProfile, "acr-premium"),
        (lambda r: qs.Registry("acr-premium", limit="5 XB"), qs.InvalidValue, "5 XB"),
        (lambda r: qs.Registry(7), qs.InvalidValue, "profile"),
        (lambda r: r.under("harborr"), qs.UnknownProfile, "harborr"),
        (lambda r: qs.Blob("sha256:abc", 1), qs.InvalidDigest, "sha256:abc"),
        (lambda r: qs.Blob.synthetic("x", -1), qs.InvalidValue, "-1"),
        (lambda r: replace(r.profile, basis=qs.Basis.STORED, scope=qs.Scope.NAMESPACE), qs.InvalidValue, "REGISTRY"),
        (lambda r: qs.GcPolicy(roots="SOME"), qs.InvalidValue, "ALL"),
    ],
)
def test_a_wrong_call_names_what_is_wrong_and_changes_nothing(registry, call, error, says):
    before, version = registry.usage(), registry.version
    with pytest.raises(error) as caught:
        call(registry)
    assert isinstance(caught.value, qs.QuotaSimError)
    assert says in str(caught.value)
    assert (registry.usage(), registry.version) == (before, version)


# -- plans and branches


def test_a_plan_is_good_for_one_state_only(registry):
    registry.delete("team/app:1")
    registry.advance("1min")
    for change in (
        lambda: registry.push("team/new:1", APP),
        lambda: registry.advance("1s"),
        lambda: registry.apply(registry.plan_gc()),
    ):
        stale = registry.plan_gc()
        change()
        with pytest.raises(qs.StalePlan) as caught:
            registry.apply(stale)
        assert caught.value.planned_version < caught.value.state_version
    assert registry.apply(registry.plan_gc()).removed == 0


def test_a_plan_of_another_branch_is_refused():
    registry = qs.Registry("distribution-2.8", start=START)
    registry.push("app:1", APP)
    branch = registry.branch("what if")
    registry.delete("app:1")
    branch.push("app:2", WEB)
    with pytest.raises(qs.StalePlan):
        branch.apply(registry.plan_gc())


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        # What goes after which wait: the image that lost its tag (2 days ago), the one never tagged, the loose blobs.
        ("refcount", [("0s", 100 + 7)]),
        ("gitlab", [("0s", 7), ("1d", 100 + 10 + 7)]),
        ("zot", [("0s", 7), ("1h", 100 + 10 + 7)]),
        ("quay", [("0s", 7), ("11d", 7), ("1d", 100 + 10 + 7)]),
        ("acr-premium", [("0s", 7)]),
    ],
)
def test_another_kinds_collector_starts_with_what_is_there(kind, waits):
    # A link that stays behind would hold the loose blobs under any kind.
    plain = replace(qs.Registry("distribution-2.8", start=START).profile, stale_blob_links=False)
    here = qs.Registry(plain, start=START)
    before = {}
    for name, size in (("lost", 100), ("kept", 1000), ("never", 10), ("loose", 7)):
        made = qs.Image([qs.Blob.synthetic(name, size)], qs.Blob.synthetic("config", 1), digest=digest_of(name), size=0)
        before[name] = made
    here.push("team/app:1", before["lost"])
    here.push("team/app:1", before["kept"])
    here.push(f"team/app@{before['never'].digest}", before["never"])
    here.push("team/app:loose", before["loose"])
    here.delete("team/app:loose")
    here.advance("2d")
    other = here.under(kind)
    assert other.usage().stored_bytes == here.usage().stored_bytes == 1 + 1000 + 100 + 10 + 7
    for wait, gone in waits:
        other.advance(wait)
        assert here.usage().stored_bytes - other.usage().stored_bytes == gone
        other.check()
    other.advance("60d")
    assert here.usage().stored_bytes - other.usage().stored_bytes == waits[-1][1]


def digest_of(name: str) -> str:
    return qs.Blob.synthetic(f"manifest of {name}", 0).digest


def test_another_kind_is_told_of_the_same_content(registry):
    plain = registry.under("distribution-2.8")
    assert plain.usage().stored_bytes == registry.usage().stored_bytes
    assert plain.usage().limit_bytes is None
    assert plain.now == registry.now
