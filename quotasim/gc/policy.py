"""What a garbage collector treats as garbage, as parameters. One type for all kinds; no subclass per vendor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quotasim.errors import InvalidValue
from quotasim.kernels import layout

REFERRER_BITS = {
    "ignore": layout.REFERRERS_IGNORE,
    "follow": layout.REFERRERS_FOLLOW,
    "pin": layout.REFERRERS_PIN,
    "stay": layout.REFERRERS_STAY,
    "stay and pin": layout.REFERRERS_STAY | layout.REFERRERS_PIN,
    "depend": layout.REFERRERS_FOLLOW,
}
"""What a policy says of referrers, as the kernels know it."""

LAYERS_ENTRY = "_layers"
"""Where a repository's own links lie, in its directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcPolicy:
    """Parameters of a mark and sweep.

    Attributes
    ----------
    roots : ``"ALL"``: every linked manifest stays; ``"TAGS"``: tagged ones stay, with what they reach.
    index_children : ``"recursive"``: children of a kept index stay, and theirs; ``"direct"``: an index keeps only
        its children's own bytes.
    referrers : ``"follow"``: referrers of a kept manifest stay; ``"pin"``: the subject of a kept manifest stays;
        ``"stay"``: whatever has a subject stays; ``"stay and pin"``: both; ``"depend"``: what has a subject stays with
        it and goes without it, tagged or not; ``"ignore"``: subjects mean nothing.
    grace : microseconds; what was untagged, pushed, stored or released less than this ago stays.
    counts_pulls : whether a manifest stays, too, that was pulled less than ``grace`` ago.
    blob_grace : from when on ``grace`` is counted for a blob: ``"stored or released"``, whichever is later; or
        ``"stored"`` alone, since when it lies on the disk.
    honour_blob_links : whether an uploaded blob that no manifest names yet stays.
    drops_blob_links : which blob links a run takes away: ``"never"`` any; those to stored blobs that it finds
        ``"unmarked"``, of what it removes too; all explicit ones that are ``"idle"``, whose blob was stored at least
        ``grace`` ago.
    honour_sha512 : whether a blob stays that a manifest names by its sha512. A store that files everything under its
        sha256 may mark the name that it read, and sweep the bytes.
    repositories : ``"ALL"``: every one is walked; ``"WITH_BLOBS"``: those to which ever a blob came, by an upload, a
        mount or the push of an image. In the others nothing is a root, and nothing is removed.
    marks : ``"by repository"``: each repository keeps what its own roots reach. ``"in turn"``: there is one set of
        marks, filled repository by repository in the order of a walk over the disk (:func:`walk_key`): what is marked
        by then is not followed again, a blob link is looked at in its repository's turn, and what is untagged stays if
        its digest is marked in the end. This goes with recursive index children and with no referrers.
    rechecks : whether a run looks again, before it deletes a thing, whether it is garbage still. Else what came to be
        held since it marked goes all the same.
    needs_blobs : whether a run fails in a registry that never stored anything.
    tagless : what a run with ``roots="TAGS"`` does at a repository that has manifests and never had a tag:
        ``"walk"`` it like others, ``"fail"``, or ``"skip"`` its manifests, which then neither mark nor go.

    Examples
    --------
    >>> GcPolicy(roots="TAGS", grace=7_200_000_000).referrers
    'ignore'
    """

    roots: Literal["ALL", "TAGS"] = "ALL"
    index_children: Literal["recursive", "direct"] = "recursive"
    referrers: Literal["follow", "pin", "stay", "stay and pin", "depend", "ignore"] = "ignore"
    grace: int = 0
    counts_pulls: bool = False
    blob_grace: Literal["stored or released", "stored"] = "stored or released"
    honour_blob_links: bool = False
    drops_blob_links: Literal["never", "unmarked", "idle"] = "never"
    honour_sha512: bool = True
    repositories: Literal["ALL", "WITH_BLOBS"] = "ALL"
    marks: Literal["by repository", "in turn"] = "by repository"
    rechecks: bool = False
    needs_blobs: bool = False
    tagless: Literal["walk", "fail", "skip"] = "walk"

    def __post_init__(self) -> None:
        choices = (
            ("roots", self.roots, ("ALL", "TAGS")),
            ("index_children", self.index_children, ("recursive", "direct")),
            ("referrers", self.referrers, tuple(REFERRER_BITS)),
            ("drops_blob_links", self.drops_blob_links, ("never", "unmarked", "idle")),
            ("blob_grace", self.blob_grace, ("stored or released", "stored")),
            ("repositories", self.repositories, ("ALL", "WITH_BLOBS")),
            ("marks", self.marks, ("by repository", "in turn")),
            ("tagless", self.tagless, ("walk", "fail", "skip")),
        )
        for name, value, allowed in choices:
            if value not in allowed:
                raise InvalidValue(name, value, " or ".join(allowed))
        if self.grace < 0:
            raise InvalidValue("grace", self.grace, "a number of microseconds, 0 or more")
        if self.marks == "in turn" and (self.index_children, self.referrers) != ("recursive", "ignore"):
            expected = "'by repository', unless index children are recursive and referrers ignored"
            raise InvalidValue("marks", self.marks, expected)


def walk_key(repository: str) -> tuple[str, ...]:
    """Return where a repository comes in a walk over a registry's disk, to sort by.

    A directory's entries come in the order of their names, and a repository is found at its ``_layers``: after what
    lies below it under a digit or a capital letter, before all else (distribution, registry/storage/catalog.go).

    Examples
    --------
    >>> sorted(["a/b", "b", "a", "a/0"], key=walk_key)
    ['a/0', 'a', 'a/b', 'b']
    """
    return (*repository.split("/"), LAYERS_ENTRY)
