"""What the machine and the laws share: the profiles, and a small world of content for engine and oracle."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, replace

from hypothesis import HealthCheck, settings

import quotasim as qs
from quotasim.profiles import PROFILES as KINDS

from . import oracle

START = "2026-01-01"
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
THOROUGH = os.environ.get("QUOTASIM_HYPOTHESIS") == "thorough"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def checked(examples: int, steps: int = 25) -> settings:
    """Return the settings of one test: repeatable and short by default, 50 times longer when thorough."""
    return settings(
        max_examples=examples * 50 if THOROUGH else examples,
        stateful_step_count=steps * 2 if THOROUGH else steps,
        derandomize=not THOROUGH,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


# Profiles


def profile(base: str, name: str, **changes: object) -> qs.RegistryProfile:
    """Return a profile that differs from a given one in some fields."""
    return replace(qs.Registry(base, start=START).profile, name=name, **changes)


def made_profiles() -> Iterator[qs.RegistryProfile]:
    """Yield kinds that no vendor has, to reach the rules that the profiles of the project do not use."""
    waiting = {"collection": "automatic", "untagged_after": 7 * MINUTE, "sweep_after": 3 * MINUTE}
    every_grace = qs.GcPolicy(roots="TAGS", referrers="follow", grace=5 * MINUTE, honour_blob_links=True)
    namespace = {"scope": qs.Scope.NAMESPACE}
    yield profile(
        "refcount",
        "tagged-namespace",
        basis=qs.Basis.TAGGED,
        limit=5_000,
        loose_blobs_after=20 * MINUTE,
        uploads_purged_after=30 * MINUTE,
        uploads_purged_every=8 * MINUTE,
        counter="own",
        backfill=qs.Backfill(delay=30 * MINUTE, every=MINUTE, batch=1),
        **namespace,
        **waiting,
    )
    yield profile(
        "distribution-2.8",
        "linked-namespace",
        basis=qs.Basis.LINKED,
        limit=3_000,
        reject_at_limit=True,
        gc=every_grace,
        **namespace,
    )
    yield profile(
        "acr-premium",
        "referenced-repository",
        scope=qs.Scope.REPOSITORY,
        limit=2_500,
        referrers="ignore",
        delete_by_tag="tag",
        counts_config=False,
        counts_manifests=False,
        **waiting,
    )
    delete_untagged = qs.Registry("distribution-2.8", start=START).profile.gc_policy("delete-untagged")
    yield profile("distribution-2.8", "delete-untagged", gc=delete_untagged)
    yield profile(
        "harbor",
        "small-immutable",
        limit=4_000,
        delete_by_tag="refuse",
        immutable_tags="keep",
        gc=every_grace,
        **waiting | {"untagged_after": 5 * MINUTE},
    )
    soon = {"restorable_for": 7 * MINUTE, "loose_blobs_after": 4 * MINUTE, "uploads_purged_after": 6 * MINUTE}
    yield profile(
        "quay",
        "small-moving",
        limit=4_000,
        warn_at=60,
        uploads_purged_every=MINUTE,
        collect_batch=None,
        backfill=qs.Backfill(delay=3 * MINUTE, every=MINUTE, batch=1),
        **waiting | {"sweep_after": 0} | soon,
    )
    yield profile("harbor", "small-reserving", limit=2_500, uploads_purged_after=4 * MINUTE, uploads_purged_every=0)
    yield profile(
        "acr-premium",
        "small-keeping",
        limit=4_000,
        collection="automatic",
        restorable_for=7 * MINUTE,
        collect_every=4 * MINUTE,
        check_post="used",
        check_patch="uploading",
    )
    yield profile(
        "gar",
        "short-pins",
        immutable_tags="move",
        most_tags_on_delete=1,
        delete_by_tag="last tag",
        children_go=True,
        collects_untagged_pushes=True,
        report_every=2 * MINUTE,
        **waiting,
    )
    yield profile("acr-basic", "cascade-stale", stale_blob_links=True, basis=qs.Basis.LINKED, **waiting)


PROFILES = dict(KINDS)
# The oracle knows no batches: which candidates a run takes depends on their order. They have tests of their own.
PROFILES["quay"] = replace(KINDS["quay"], collect_batch=None)
PROFILES |= {made.name: made for made in made_profiles()}


def gc_rules_of(policy: qs.GcPolicy) -> oracle.GcRules:
    """Return a policy as the oracle knows it."""
    return oracle.GcRules(**asdict(policy))


def rules_of(profile: qs.RegistryProfile) -> oracle.Rules:
    """Return a profile's fields as the oracle's rules."""
    return oracle.Rules(
        scope=profile.scope.name,
        basis=profile.basis.name,
        counts_foreign=profile.counts_foreign,
        stores_foreign=profile.counts_foreign,
        counts_config=profile.counts_config,
        counts_manifests=profile.counts_manifests,
        limit=profile.limit,
        reject_at_limit=profile.reject_at_limit,
        collection=profile.collection,
        untagged_after=profile.untagged_after,
        sweep_after=profile.sweep_after,
        referrers=profile.referrers,
        stale_blob_links=profile.stale_blob_links,
        report_lag=profile.report_lag,
        tag_needs_parts=profile.tag_needs_parts,
        write_lock_blocks_delete=profile.write_lock_blocks_delete,
        delete_by_tag=profile.delete_by_tag,
        collects_untagged_pushes=profile.collects_untagged_pushes,
        children_go=profile.children_go,
        keeps_children=profile.child_refusal is not None,
        most_tags_on_delete=profile.most_tags_on_delete,
        immutable_tags=profile.immutable_tags,
        keeps_subjects=profile.referrer_refusal is not None,
        loose_after=profile.loose_blobs_after,
        restorable_for=profile.restorable_for,
        collect_every=profile.collect_every,
        purge_after=profile.uploads_purged_after,
        purge_every=profile.uploads_purged_every,
        check_post=profile.check_post,
        check_patch=profile.check_patch,
        check_put_blob=profile.check_put_blob,
        check_put_manifest=profile.check_put_manifest,
        check_mount=profile.check_mount,
        check_copy=profile.check_copy,
        reserves=profile.reserves,
        patch_cancels=profile.patch_refusal_cancels,
        refused_after=profile.refused_after,
        own_counter=profile.counter == "own",
        recounts=profile.recounts,
        backfill=None if profile.backfill is None else astuple(profile.backfill),
        report_every=profile.report_every,
        gc=gc_rules_of(profile.gc),
    )


# Content: a few blobs, so that images share, repeat and collide.

_SIZES = {"base": 1000, "middle": 100, "top": 10, "tiny": 1, "empty": 32, "zero": 0, "odd": None}
LAYERS = [qs.Blob.synthetic(label, size) for label, size in _SIZES.items()]
LAYERS.append(qs.Blob.synthetic("far", 5000, FOREIGN_LAYER))
ODD, FAR = 6, 7
CONFIGS = [qs.Blob.synthetic(f"config-{number}", 3 + number) for number in range(3)]
REPOSITORIES = ("app", "web", "team/app", "team/web")
TAGS = ("1", "2", "latest")


@dataclass(frozen=True)
class Thing:
    """An image or an index as the engine takes it and as the oracle knows it."""

    engine: qs.Image | qs.Index
    oracle: oracle.Manifest
    children: tuple[Thing, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest, the same for both."""
        return self.oracle.digest

    def before(self) -> list[Thing]:
        """Return what is pushed before an index: its children, and theirs before them."""
        return [piece for child in self.children for piece in [*child.before(), child]]


def oracle_blob(blob: qs.Blob) -> oracle.Blob:
    """Return a layer or config as the oracle knows it."""
    return oracle.Blob(blob.digest, blob.size, blob.digest == LAYERS[FAR].digest)


def make_image(layers: Iterable[int], config: int | None = None, subject: Thing | None = None) -> Thing:
    """Return an image of some of ``LAYERS`` and one of ``CONFIGS``, or of what the engine puts there."""
    listed = [LAYERS[place] for place in layers]
    chosen = None if config is None else CONFIGS[config]
    refers = None if subject is None else subject.engine
    if LAYERS[ODD] in listed:  # its bytes cannot be written without that size
        label = f"{[blob.digest for blob in listed]} {config} {subject and subject.digest}"
        made = qs.Image(listed, chosen, subject=refers, digest=qs.Blob.synthetic(label, 1).digest, size=50)
    else:
        made = qs.Image(listed, chosen, subject=refers)
    known = oracle.image(
        made.digest,
        made.size,
        [oracle_blob(blob) for blob in listed],
        None if made.config is None else oracle_blob(made.config),
        None if subject is None else subject.digest,
    )
    return Thing(made, known)


def make_index(children: Iterable[Thing], subject: Thing | None = None) -> Thing:
    """Return an index of some images and indexes."""
    listed = tuple(children)
    refers = None if subject is None else subject.engine
    made = qs.Index([child.engine for child in listed], subject=refers)
    digests = [child.digest for child in listed]
    known = oracle.index(made.digest, made.size, digests, None if subject is None else subject.digest)
    return Thing(made, known, listed)


def make_world() -> list[Thing]:
    """Return content of every shape: shared, repeated, foreign, unknown, empty; nested; referrers; rings."""
    plain = [make_image([0, 2], 0), make_image([0, 1], 1), make_image([0], 0), make_image([1, 1, 3])]
    odd = [make_image([0, FAR]), make_image([ODD, 2], 0), make_image([], 2), make_image([4, 5])]
    signature = make_image([3], subject=plain[0])
    countersignature = make_image([3, 4], subject=signature)
    dangling = make_image([2], subject=make_image([2, 2, 2]))
    lists = [make_index(plain[:2]), make_index(plain[1:3]), make_index([])]
    nested = make_index([lists[0], plain[2]])
    of_list = make_image([5], 1, subject=lists[0])
    rings = [make_index([child], subject=plain[0]) for child in (plain[0], lists[0], signature)]
    return [*plain, *odd, signature, countersignature, dangling, *lists, nested, of_list, *rings]


WORLD = make_world()
