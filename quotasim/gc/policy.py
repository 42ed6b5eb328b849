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
}
"""What a policy says of referrers, as the kernels know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcPolicy:
    """Parameters of a mark and sweep.

    Attributes
    ----------
    roots : ``"ALL"``: every linked manifest stays; ``"TAGS"``: tagged ones stay, with what they reach.
    index_children : ``"recursive"``: children of a kept index stay, and theirs; ``"direct"``: an index keeps only
        its children's own bytes.
    referrers : ``"follow"``: referrers of a kept manifest stay; ``"pin"``: the subject of a kept manifest stays;
        ``"stay"``: whatever has a subject stays; ``"stay and pin"``: both; ``"ignore"``: subjects mean nothing.
    grace : microseconds; what was untagged, pushed, stored or released less than this ago stays.
    counts_pulls : whether a manifest stays, too, that was pulled less than ``grace`` ago.
    blob_grace : from when on ``grace`` is counted for a blob: ``"stored or released"``, whichever is later; or
        ``"stored"`` alone, since when it lies on the disk.
    honour_blob_links : whether an uploaded blob that no manifest names yet stays.
    drops_blob_links : which explicit blob links a run takes away: ``"never"`` any; those to blobs that it finds
        ``"unmarked"``; all that are ``"idle"``, whose blob was stored at least ``grace`` ago.
    honour_sha512 : whether a blob stays that a manifest names by its sha512. A store that files everything under its
        sha256 may mark the name that it read, and sweep the bytes.
    repositories : ``"ALL"``: every one is walked; ``"WITH_BLOBS"``: those to which ever a blob came, by an upload, a
        mount or the push of an image. In the others nothing is a root, and nothing is removed.
    rechecks : whether a run looks again, before it deletes a thing, whether it is garbage still. Else what came to be
        held since it marked goes all the same.
    needs_blobs : whether a run fails in a registry that never stored anything.
    needs_tags : whether a run with ``roots="TAGS"`` fails at a repository that has manifests and never had a tag.

    Examples
    --------
    >>> GcPolicy(roots="TAGS", grace=7_200_000_000).referrers
    'ignore'
    """

    roots: Literal["ALL", "TAGS"] = "ALL"
    index_children: Literal["recursive", "direct"] = "recursive"
    referrers: Literal["follow", "pin", "stay", "stay and pin", "ignore"] = "ignore"
    grace: int = 0
    counts_pulls: bool = False
    blob_grace: Literal["stored or released", "stored"] = "stored or released"
    honour_blob_links: bool = False
    drops_blob_links: Literal["never", "unmarked", "idle"] = "never"
    honour_sha512: bool = True
    repositories: Literal["ALL", "WITH_BLOBS"] = "ALL"
    rechecks: bool = False
    needs_blobs: bool = False
    needs_tags: bool = False

    def __post_init__(self) -> None:
        choices = (
            ("roots", self.roots, ("ALL", "TAGS")),
            ("index_children", self.index_children, ("recursive", "direct")),
            ("referrers", self.referrers, tuple(REFERRER_BITS)),
            ("drops_blob_links", self.drops_blob_links, ("never", "unmarked", "idle")),
            ("blob_grace", self.blob_grace, ("stored or released", "stored")),
            ("repositories", self.repositories, ("ALL", "WITH_BLOBS")),
        )
        for name, value, allowed in choices:
            if value not in allowed:
                raise InvalidValue(name, value, " or ".join(allowed))
        if self.grace < 0:
            raise InvalidValue("grace", self.grace, "a number of microseconds, 0 or more")
