"""The tables of docs/kinds.md, made from the profiles: ``python -m tests.kinds_table`` writes them anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path

import quotasim as qs
from quotasim.profiles import PROFILES

from . import pages
from .pages import table

PAGE = Path(__file__).parent.parent / "docs" / "kinds.md"
EVIDENCE = {
    "ran": "the program was run",
    "code": "source read",
    "doc": "the vendor's documentation",
    "issue": "users' reports",
    "assumed": "assumed",
    "own": "a rule of ours",
}
POINTS = ("post", "patch", "put_blob", "put_manifest", "mount", "copy")
BASES = {
    "TAGGED": "of what tags reach",
    "REFERENCED": "of every manifest",
    "LINKED": "of every manifest, and loose uploads",
    "STORED": "on disk",
}
BY_TAG = {
    "manifest": "the manifest with all its tags",
    "resolve": "refused by the registry; resolved, it deletes the manifest with all its tags",
    "refuse": "refused",
    "tag": "the tag only",
    "last tag": "the tag; the manifest with its last one",
    "expire": "the tag ends; the manifest is left to the collector",
}
REFERRERS = {
    "ignore": "not looked at",
    "follow": "a referrer is collected after its subject",
    "cascade": "deleted with their subject",
    "pin": "a referrer keeps its subject",
    "stay": "never collected",
    "stay and pin": "never collected, and keep their subject",
}


def duration(microseconds: int | None) -> str:
    """Return a delay in words."""
    if microseconds is None:
        return "never"
    return "at once" if microseconds == 0 else qs.format_duration(microseconds)


def price(asked: qs.Price | None) -> str:
    """Return what is asked for stored bytes, in words."""
    if asked is None:
        return "none"
    units = {2**30: "GiB", 10**9: "GB"}[asked.unit_bytes], {1: "day", 30: "month"}[asked.unit_days]
    found = f"{asked.amount} {asked.currency} per {units[0]} and {units[1]}"
    if asked.included_bytes:
        shown = qs.format_bytes(asked.included_bytes, si=units[0] == "GB")
        found += f" above {shown}"
    return found + (f"; {asked.fee_per_day} {asked.currency} a day" if asked.fee_per_day else "")


def roles(profile: qs.RegistryProfile) -> str:
    """Return which blobs are charged."""
    names = {"configs": profile.counts_config, "manifests": profile.counts_manifests, "foreign": profile.counts_foreign}
    return ", ".join(["layers", *(name for name, counted in names.items() if counted)])


def limit(profile: qs.RegistryProfile) -> str:
    """Return what limits there are by default."""
    if profile.refusal is None and profile.limit is None:
        return "none"
    passed = "at" if profile.reject_at_limit else "above"
    found = f"refuses {passed} the limit"
    found += "; none by default" if profile.limit is None else f" of {qs.format_bytes(profile.limit)}"
    if profile.included is not None:
        found += f"; {qs.format_bytes(profile.included)} included in the price"
    return found + (f"; warns from {profile.warn_at} % on" if profile.warn_at is not None else "")


def usage_falls(profile: qs.RegistryProfile) -> str:
    """Return when the charge falls after an image was deleted by tag, in words."""
    wait = duration(profile.untagged_after)
    if profile.basis.name == "TAGGED":
        return "when the tag goes"
    if profile.basis.name == "STORED":
        return "with the bytes"
    if profile.delete_by_tag == "expire":
        return f"when the manifest is collected, {wait} after its last tag"
    if profile.delete_by_tag == "tag":
        return "when the manifest is deleted"
    return "when the manifest goes"


def display(profile: qs.RegistryProfile) -> str:
    """Return when the display follows, in words."""
    return f"every {duration(profile.report_every)}" if profile.report_every else duration(profile.report_lag)


def bytes_go(profile: qs.RegistryProfile) -> str:
    """Return when released bytes leave the disk, in words."""
    if profile.collection == "manual":
        grace = f" what was idle for {duration(profile.gc.grace)}" if profile.gc.grace else ""
        return f"when a collection is run:{grace or ' everything at once'}"
    return "at once" if profile.sweep_after == 0 else f"{duration(profile.sweep_after)} after nothing holds them"


def untagged(profile: qs.RegistryProfile) -> str:
    """Return when an untagged manifest goes, in words."""
    if profile.collection == "manual":
        return "in a collection" if profile.gc.roots == "TAGS" else "never by itself"
    if profile.untagged_after is None:
        return "never by itself"
    return duration(profile.untagged_after) + (", pushed so too" if profile.collects_untagged_pushes else "")


def counter(profile: qs.RegistryProfile) -> str:
    """Return what limits and display read, in words."""
    if profile.counter == "derived":
        return "the charge"
    found = "its own"
    found += ", right after each deletion and collection" if profile.recounts else ""
    return found + (", filled by and by" if profile.backfill is not None else "")


def loose(profile: qs.RegistryProfile) -> str:
    """Return what becomes of uploaded blobs without a manifest, in words."""
    if profile.loose_blobs_after is not None:
        return f"go after {duration(profile.loose_blobs_after)}"
    if profile.collection == "manual" and not profile.gc.honour_blob_links:
        grace = f", once idle for {duration(profile.gc.grace)}" if profile.gc.grace else ""
        return f"go in a collection{grace}"
    return "stay"


def mode(profile: qs.RegistryProfile) -> str:
    """Return how a kind collects, read off its parameters (docs/decisions/0007)."""
    if profile.collection == "manual":
        return (
            "mark and sweep, while pushes go on" if profile.gc.rechecks else "mark and sweep, with the registry stopped"
        )
    if profile.collect_batch is not None:
        return f"a worker, {profile.collect_batch} manifests at a time"
    if profile.review_jitter:
        return "queues of reviews"
    if profile.gc.drops_blob_links == "idle":
        return "passes over each repository"
    return "reference counts, " + ("delayed" if profile.sweep_after else "at once")


def keeps(policy: qs.GcPolicy) -> str:
    """Return what a policy keeps, in words."""
    roots = {"ALL": "every manifest", "TAGS": "what has a tag"}[policy.roots]
    children = "children's bytes" if policy.index_children == "direct" else "children"
    referrers = {
        "ignore": "",
        "follow": ", referrers of what stays",
        "pin": ", subjects of what stays",
        "stay": ", whatever has a subject",
        "stay and pin": ", whatever has a subject, and its subject",
        "depend": ", with a subject only if that stays",
    }[policy.referrers]
    links = ", uploaded blobs" if policy.honour_blob_links else ""
    return f"{roots}, {children}{referrers}{links}"


def passes(profile: qs.RegistryProfile) -> str:
    """Return when a kind's collector looks, in words."""
    if profile.collection == "manual":
        return "when it is run or scheduled"
    every = f" every {duration(profile.collect_every)}" if profile.collect_every else ""
    return f"by itself{every}"


def collectors() -> str:
    """Return the table of collectors and policies."""
    rows = []
    for name, profile in PROFILES.items():
        for policy_name, policy in {"default": profile.gc, **profile.gc_policies}.items():
            once = ", one set of marks" if policy.marks == "in turn" else ""
            rows.append(
                (
                    f"`{name}`",
                    f"`{policy_name}`",
                    mode(profile),
                    passes(profile),
                    keeps(policy) + once,
                    duration(policy.grace) if policy.grace else "none",
                    policy.drops_blob_links,
                    "yes" if policy.rechecks else "no",
                )
            )
    head = ("kind", "policy", "mode", "runs", "keeps", "grace", "drops blob links", "looks again")
    return table(head, rows)


def summaries() -> dict[str, str]:
    """Return the tables over all kinds."""
    kinds = [(f"`{name}`", profile) for name, profile in PROFILES.items()]
    refusals = [
        (name, title, refusal)
        for name, profile in kinds
        for title, refusal in (
            ("a push over the limit", profile.refusal),
            ("deleting by tag", profile.tag_refusal),
            ("deleting a child of an index", profile.child_refusal),
            ("deleting a subject of others", profile.referrer_refusal),
            ("deleting a digest with tags", profile.tags_refusal),
            ("moving an immutable tag", profile.immutable_refusal),
        )
        if refusal is not None
    ]
    return {
        "counts": table(
            ("kind", "once in each", "which blobs count", "roles", "limit"),
            ((n, p.scope.name.lower(), BASES[p.basis.name], roles(p), limit(p)) for n, p in kinds),
        ),
        "times": table(
            ("kind", "usage falls", "display follows", "untagged manifests are collected", "bytes leave the disk"),
            ((n, usage_falls(p), display(p), untagged(p), bytes_go(p)) for n, p in kinds),
        ),
        "deletion": table(
            ("kind", "deleting by tag takes", "a child of an index", "children of a deleted index", "referrers"),
            (
                (
                    n,
                    BY_TAG[p.delete_by_tag],
                    "is kept" if p.delete_by_tag == "expire" else "is refused" if p.child_refusal else "is deleted",
                    "go, if nothing else needs them" if p.children_go else "stay",
                    REFERRERS[p.referrers],
                )
                for n, p in kinds
            ),
        ),
        "steps": table(
            ("kind", "POST", "PATCH", "PUT blob", "PUT manifest", "mount", "copy", "reserves", "counter"),
            (
                (
                    n,
                    *(getattr(p, f"check_{point}") for point in POINTS),
                    "yes" if p.reserves else "no",
                    counter(p),
                )
                for n, p in kinds
            ),
        ),
        "rests": table(
            ("kind", "unfinished uploads", "blobs that no manifest names", "what is deleted", "copies elsewhere"),
            (
                (
                    n,
                    f"purged after {duration(p.uploads_purged_after)}, every {duration(p.uploads_purged_every)}"
                    if p.uploads_purged_after is not None and p.uploads_purged_every
                    else f"purged after {duration(p.uploads_purged_after)}",
                    loose(p),
                    "is gone" if p.restorable_for is None else f"can be restored for {duration(p.restorable_for)}",
                    "are billed" if p.replicas == "billed" else "are registries of their own",
                )
                for n, p in kinds
            ),
        ),
        "collectors": collectors(),
        "prices": table(
            ("kind", "price", "source", "read on"),
            (
                (
                    n,
                    price(p.price),
                    f"{p.sources['price'].evidence}: {p.sources['price'].where}",
                    p.sources["price"].read_on,
                )
                for n, p in kinds
                if p.price is not None
            ),
        ),
        "refusals": table(
            ("kind", "refused", "status", "code", "message"),
            ((n, what, r.status or "?", r.code or "?", r.message) for n, what, r in refusals),
        ),
    }


def by_page() -> dict[str, list[qs.RegistryProfile]]:
    """Return the profiles of each page of docs/kinds. Tiers of one product have one source of their scope, and share a
    page.
    """
    tiers: dict[int, list[qs.RegistryProfile]] = {}
    for profile in PROFILES.values():
        tiers.setdefault(id(profile.sources["scope"]), []).append(profile)
    return {in_common(profile.name for profile in profiles): profiles for profiles in tiers.values()}


def in_common(names: Iterable[str]) -> str:
    """Return what names or titles begin with, without what sets the tier off from it."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(first for first, *_ in alike).rstrip("-, ")


def evidence(profiles: Sequence[qs.RegistryProfile]) -> str:
    """Return how many fields have which evidence, in words; of each tier where they differ."""

    def counted(profile: qs.RegistryProfile) -> str:
        count = Counter(source.evidence for source in profile.sources.values())
        return ", ".join(f"{words} {count[kind]}" for kind, words in EVIDENCE.items() if count[kind])

    return by_tier(profiles, counted)


def by_tier(profiles: Sequence[qs.RegistryProfile], say: Callable[[qs.RegistryProfile], str]) -> str:
    """Return what is said of each tier; once where it is the same of all."""
    said: dict[str, list[qs.RegistryProfile]] = {}
    for profile in profiles:
        said.setdefault(say(profile), []).append(profile)
    return next(iter(said)) if len(said) == 1 else "; ".join(f"in {names(tiers)} {one}" for one, tiers in said.items())


def page_list() -> str:
    """Return the table of the pages of single kinds."""
    rows = [
        (f"[{in_common(p.title for p in profiles)}](kinds/{page}.md)", names(profiles), evidence(profiles))
        for page, profiles in by_page().items()
    ]
    return table(("page", "kinds", "fields by evidence"), rows)


def names(profiles: Iterable[qs.RegistryProfile]) -> str:
    """Return the names of kinds, as code."""
    return ", ".join(f"`{profile.name}`" for profile in profiles)


def blocks() -> dict[str, str]:
    """Return every generated part of the page, by its name."""
    return summaries() | {"pages": page_list()}


def filled(page: str) -> str:
    """Return the page with its generated parts made anew."""
    return pages.filled(page, "tests/kinds_table.py", blocks())


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
