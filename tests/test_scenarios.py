"""For each kind a scenario from its own sources: what users reported, or what its source or documents say.

A docstring begins with the kinds and names the source; *assumed* says where none was found. Issues were read as
excerpts, so that a scenario is the situation they tell of, with sizes of ours, worked out by hand. Elsewhere are: nine
of ten images on one base, the ACR FAQ's 1 GiB, and deleting all untagged (acr-cli#131), in test_kinds.py; refused
deletions (gcr-cleaner#118, zot's 405 and 409, Harbor's 412) and referrers in test_profiles.py; pushes in steps
(harbor#12033) in test_requests.py; soft delete, restoring, counters in test_administration.py; what was run
(distribution#3178 among it) in test_distribution_quirks.py.
"""

from __future__ import annotations

import pytest

import quotasim as qs
from quotasim.profiles import PROFILES

from .test_kinds import image, settle

START = "2026-01-01"
MIB, GIB = 2**20, 2**30
Figures = tuple[int, int, int]  # charged, reported, stored


def own(name: str, size: int, *more: qs.Blob) -> qs.Image:
    """Return an image with a layer of its own, a config of 3 and a manifest of 50."""
    return image(name, [*more, qs.Blob.synthetic(f"layer of {name}", size)], 3)


def figures(registry: qs.Registry) -> Figures:
    usage = registry.usage()
    return usage.charged_bytes, usage.reported_bytes, usage.stored_bytes


def test_every_kind_has_a_scenario_that_names_its_source():
    named = set()
    for name, test in globals().items():
        if name.startswith("test_") and test is not test_every_kind_has_a_scenario_that_names_its_source:
            kinds, _, source = test.__doc__.partition(": ")
            assert source, name
            named |= set(kinds.split(", "))
    assert named == set(PROFILES)


# -- Azure Container Registry


def test_one_image_replaced_every_day_fills_what_is_included():
    """acr-basic: MicrosoftDocs/azure-docs#8392, one image replaced daily used the quota up.

    Each push moves the tag, and leaves the image that had it untagged, and charged. Included are 10 GiB, and above them
    pushes are let in, and cost: twenty of 500 MiB fit.
    """
    registry = qs.Registry("acr-basic", start=START)
    for day in range(1, 26):
        pushed = registry.push("team/app:latest", own(f"day {day}", 500 * MIB))
        assert pushed.accepted
        assert (pushed.verdict.decision is qs.Decision.WARN) == (day > 20)
        assert registry.usage().charged_bytes == day * (500 * MIB + 53)
        registry.advance("1d")
    usage = registry.usage()
    assert usage.reported_bytes == 25 * (500 * MIB + 53) > usage.limit_bytes == 10 * GIB
    assert usage.reclaimable_bytes == 0  # nothing will ever go by itself
    promised = registry.preview(delete=["team/app@untagged"])
    assert promised.freed_charged_bytes == 24 * (500 * MIB + 53)
    registry.delete("team/app@untagged")
    registry.advance("5min")
    assert figures(registry) == (500 * MIB + 53,) * 3


def test_removing_the_tag_frees_nothing_deleting_the_manifest_does():
    """acr-standard: Azure/acr#71, deleting the tag frees nothing; Azure/acr-cli#515, usage is unchanged after a purge.

    A purge without ``--untagged`` removes tags only.
    """
    registry = qs.Registry("acr-standard", start=START)
    made = [own(f"app {number}", 1000) for number in range(3)]
    for number, one in enumerate(made):
        registry.push(f"team/app:v{number}", one)
    registry.advance("1h")
    for number in range(3):
        registry.untag(f"team/app:v{number}")
    registry.advance("30d")
    assert figures(registry) == (3159, 3159, 3159)
    registry.delete(f"team/app@{made[0].digest}")
    assert figures(registry) == (2106, 3159, 3159)
    registry.advance("5min")
    assert figures(registry) == (2106, 2106, 2106)


def test_a_layer_of_a_deleted_image_already_exists_until_it_is_swept():
    """acr-premium: Azure/acr#519, the image is deleted and a push says "Layer already exists".

    The vendor recovers space asynchronously; that it takes five minutes is assumed. After them the layer is gone.
    """
    registry = qs.Registry("acr-premium", start=START)
    made = own("app", 1000)
    registry.push("team/app:1", made)
    registry.advance("1h")
    registry.delete("team/app:1")
    registry.advance("4min")
    assert figures(registry) == (0, 1053, 1053)  # the display has what was there before
    again = registry.push("team/app:1", made)
    assert (again.uploaded_bytes, again.deduplicated_bytes) == (0, 1053)
    registry.advance("1h")
    assert figures(registry) == (1053, 1053, 1053)  # the push has saved it
    registry.delete("team/app:1")
    registry.advance("5min")
    anew = registry.push("team/app:1", made)
    assert (anew.uploaded_bytes, anew.deduplicated_bytes) == (1053, 0)


# -- CNCF distribution


@pytest.mark.parametrize("kind", ["distribution-2.8", "distribution-3"])
def test_an_overwritten_latest_is_kept_by_every_collection_but_one(kind):
    """distribution-2.8, distribution-3: distribution/distribution#2190, a collection does not release much.

    Three builds on a base of 1,000 were pushed as latest, each with 10 of its own. Those that lost the tag are
    revisions still, and so roots: only ``--delete-untagged`` takes them, and then not the base.
    """
    registry = qs.Registry(kind, start=START)
    base = qs.Blob.synthetic("base", 1000)
    for build in range(3):
        registry.push("app:latest", own(f"build {build}", 10, base))
    assert figures(registry) == (1189, 1189, 1189)
    assert registry.apply(registry.plan_gc()).freed_stored_bytes == 0
    plan = registry.plan_gc("delete-untagged")
    assert (len(plan.removed), plan.reclaimable_bytes) == (2, 126)
    assert registry.apply(plan).freed_stored_bytes == 126
    assert figures(registry) == (1063, 1063, 1063)


@pytest.mark.parametrize(
    ("kind", "removed", "freed"),
    [("distribution-2.8", 2, 506), ("distribution-3", 0, 0)],
)
def test_delete_untagged_and_the_children_of_a_tagged_index(kind, removed, freed):
    """distribution-2.8, distribution-3: distribution/distribution#3178, children of a tagged index were deleted.

    2.8 takes an index for the holder of its children's own bytes and no more: layers (200 and 300) and configs go, the
    tag stays, and no platform of it can be pulled. 3 has the fix of #4285 (read, not run).
    """
    registry = qs.Registry(kind, start=START)
    amd64, arm64 = own("amd64", 200), own("arm64", 300)
    multi = qs.Index([amd64, arm64], digest=qs.Blob.synthetic("multi", 20).digest, size=20)
    registry.push_index("app:1", multi)
    plan = registry.plan_gc("delete-untagged")
    assert (len(plan.removed), plan.reclaimable_bytes) == (removed, freed)
    registry.apply(plan)
    assert figures(registry) == (626 - freed,) * 3
    assert registry.pull("app:1") == multi.digest
    for child in (amd64, arm64):
        if removed:
            with pytest.raises(qs.UnknownReference):
                registry.pull(f"app@{child.digest}")
        else:
            assert registry.pull(f"app@{child.digest}") == child.digest


# -- Amazon ECR, Google Artifact Registry


def test_an_image_in_two_repositories_is_paid_twice_and_goes_with_its_last_tag():
    """ecr: aws/containers-roadmap#1567 and the AWS CLI reference, batch-delete-image: the image goes with its last tag.

    What it costs is assumed: a third party's method (handbook.vantage.sh) adds up the distinct layers of each
    repository. That display and disk take a day is assumed, too.
    """
    registry = qs.Registry("ecr", start=START)
    made = own("app", 1000)
    for reference in ("app:1", "app:2", "copy:1"):
        registry.push(reference, made)
    registry.advance("1d")
    assert figures(registry) == (2000, 2000, 1053)
    assert registry.delete("app:1").freed_charged_bytes == 0
    assert registry.delete("app:2").freed_charged_bytes == 1000
    registry.advance("1d")
    assert figures(registry) == (1000, 1000, 1053)  # the other repository has it on the disk
    registry.delete("copy:1")
    registry.advance("1d")
    assert figures(registry) == (0, 0, 0)


def test_a_clean_up_that_meets_children_before_their_index_needs_another_round():
    """gar: GoogleCloudPlatform/gcr-cleaner#118, a clean-up ends with GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE.

    Pull request #125 there tries again what others refer to that are deleted later. What is untagged is gone through in
    the order of the digests here: a child that comes before its index is refused, and goes in the next round.
    """
    registry = qs.Registry("gar", start=START)
    early, late = (
        qs.Image([qs.Blob.synthetic(name, size)], qs.Blob.synthetic(f"{name} config", 3), digest=digest, size=50)
        for name, size, digest in (("early", 200, "sha256:" + "0" * 64), ("late", 300, "sha256:" + "f" * 64))
    )
    multi = qs.Index([early, late], digest="sha256:" + "8" * 64, size=20)
    registry.push_index("team/app:1", multi)
    registry.untag("team/app:1")
    first = registry.delete("team/app@untagged")
    assert first.refused == (f"team/app@{early.digest}",)
    assert (first.freed_charged_bytes, registry.usage().charged_bytes) == (300, 200)
    assert registry.delete("team/app@untagged").freed_charged_bytes == 200
    assert settle(registry) == (0, 0, 0)


# -- GitLab


def test_every_level_of_an_index_waits_for_a_day_of_its_own():
    """gitlab: docs/spec/gitlab/online-garbage-collection.md, what is deleted queues what it held with a new delay.

    The charge goes with the tag; the index after a day, its image after another, and the image's blobs after a third.
    """
    registry = qs.Registry("gitlab", start=START)
    multi = qs.Index([own("amd64", 1000)], digest=qs.Blob.synthetic("multi", 20).digest, size=20)
    registry.push_index("team/app:1", multi)
    registry.advance("5d")
    assert figures(registry) == (1000, 1000, 1073)
    registry.delete("team/app:1")
    assert figures(registry) == (0, 1000, 1073)
    links = {}
    for hours in range(0, 73, 12):
        links[hours] = registry.engine.figures()["links"], registry.usage().stored_bytes
        registry.advance("12h")
    # The index's own 20 go a day after it, when the image goes.
    assert links == {
        0: (2, 1073),
        12: (2, 1073),
        24: (1, 1073),
        36: (1, 1073),
        48: (0, 1053),
        60: (0, 1053),
        72: (0, 0),
    }


def test_a_tag_put_back_within_the_day_saves_the_image():
    """gitlab: docs/spec/gitlab/online-garbage-collection.md, an event postpones the review of what it names."""
    registry = qs.Registry("gitlab", start=START)
    made = own("app", 1000)
    registry.push("team/app:1", made)
    registry.untag("team/app:1")
    registry.advance("23h")
    assert registry.push("team/app:2", made).uploaded_bytes == 0
    registry.advance("5d")
    assert figures(registry) == (1000, 1000, 1053)


# -- Harbor


def test_what_a_dry_run_of_harbor_promises_and_what_a_collection_frees():
    """harbor: goharbor/harbor#16482, a dry run promised almost all of the registry.

    It adds up all blobs of every untagged artifact, shared or not (garbage_collection.go, read and not run). Four
    builds on a base of 1,000 were pushed as latest, each with 10 of its own: of 3,189 bytes so named, 189 go.
    """
    registry = qs.Registry("harbor", start=START)
    base = qs.Blob.synthetic("base", 1000)
    builds = [own(f"build {build}", 10, base) for build in range(4)]
    for build in builds:
        registry.push("team/app:latest", build)
    registry.advance("2h")
    untagged = [f"team/app@{build.digest}" for build in builds[:3]]
    assert sum(registry.why(reference).logical_bytes for reference in untagged) == 3189
    plan = registry.plan_gc()
    assert (len(plan.removed), plan.reclaimable_bytes) == (3, 189)
    assert registry.preview(delete=untagged).freed_stored_bytes == 189
    freed = registry.apply(plan)
    assert (freed.freed_charged_bytes, freed.freed_stored_bytes) == (189, 189)
    assert figures(registry) == (1063, 1063, 1063)


def test_projects_that_share_a_base_show_more_than_the_disk_holds():
    """harbor: goharbor/website, configure-project-quotas: the sum of the projects can be greater than the disk.

    goharbor/harbor#21919 asks which of the two is accurate. After deletions it is the other way round, until a
    collection is run.
    """
    registry = qs.Registry("harbor", start=START)
    base = qs.Blob.synthetic("base", 1000)
    for project in ("blue", "green", "red"):
        registry.push(f"{project}/app:1", own(project, 10, base))
    assert registry.charged_by_scope() == {"blue": 1063, "green": 1063, "red": 1063}
    assert figures(registry) == (3189, 3189, 1189)
    registry.delete("blue/app:1", "green/app:1", "red/app:1")
    assert figures(registry) == (0, 0, 1189)
    assert settle(registry) == (0, 0, 0)


# -- Quay


def test_a_full_namespace_that_deletes_tags_is_full_for_two_more_weeks():
    """quay: quay/quay#1751, in review: the quota is not updated until the collector has been there.

    Charged are layers and configs of what the time machine keeps, too. At 1,500 pushes are refused: 1,003 and 603 are
    too much until the first is collected, two weeks after its tag ended. Restoring it is in test_administration.py.
    """
    registry = qs.Registry("quay", start=START, limit=1500)
    assert registry.push("team/app:1", own("old", 1000)).accepted
    new = own("new", 600)
    assert not registry.push("team/app:2", new).accepted
    registry.delete("team/app:1")
    registry.advance("335h")
    refused = registry.push("team/app:2", new)
    assert (refused.accepted, refused.verdict.used_bytes) == (False, 1003)
    registry.advance("1h")
    assert registry.push("team/app:2", new).accepted
    assert figures(registry) == (603, 603, 653)


# -- zot


def test_an_untagged_image_is_pulled_by_digest_until_it_is_collected():
    """zot: pkg/storage/common/common.go, the last tag's removal leaves an untagged row; pkg/storage/gc/gc.go, delays.

    An hour later the row goes, with nothing freed; the blobs go with the next pass, an hour after that. Read, not run.
    """
    registry = qs.Registry("zot", start=START)
    made = own("app", 1000)
    registry.push("team/app:1", made)
    registry.advance("1d")
    registry.delete("team/app:1")
    registry.advance("59min")
    assert registry.pull(f"team/app@{made.digest}") == made.digest
    registry.advance("1min")
    with pytest.raises(qs.UnknownReference):
        registry.pull(f"team/app@{made.digest}")
    assert figures(registry) == (1053, 1053, 1053)
    registry.advance("59min")
    assert registry.usage().stored_bytes == 1053
    registry.advance("1min")
    assert figures(registry) == (0, 0, 0)


# -- ours


def test_a_tag_that_moves_frees_what_it_leaves():
    """refcount: assumed, since it is ours: docs/semantics.md, section 3. What distribution#2190 asks for, at once."""
    registry = qs.Registry("refcount", start=START)
    base = qs.Blob.synthetic("base", 1000)
    for build in range(3):
        registry.push("app:latest", own(f"build {build}", 10, base))
        assert figures(registry) == (1063, 1063, 1063)
