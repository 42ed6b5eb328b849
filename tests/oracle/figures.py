"""What is true now: catalogue, links, tags, disk; and every figure, counted from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from .content import Blob, Manifest, Rules, namespace_of

Link = tuple[str, str]  # (repository, digest of a manifest or of a blob)
TagKey = tuple[str, str, str]  # (repository, name, platform); platform "" but in replayed histories


@dataclass(frozen=True)
class LinkTimes:
    """When a manifest was last pushed to a repository, and when it lost what kept it there (None: never).

    What keeps it is a tag, a parent index, or a subject where the rules follow those.
    """

    pushed_at: int
    unkept_at: int | None = None


@dataclass(frozen=True)
class Upload:
    """An upload, or (``is_session`` False) a request without a body, that has begun and not ended."""

    repository: str
    began: int
    bytes: int = 0
    reserved: int | None = None
    is_session: bool = True


class Figures:
    """The state of one registry and what can be counted in it. Nothing here changes anything."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.blobs: dict[str, Blob] = {}
        self.manifests: dict[str, Manifest] = {}
        self.links: dict[Link, LinkTimes] = {}
        self.tags: dict[TagKey, str] = {}
        self.blob_links: set[Link] = set()
        self.removed_blobs: set[Link] = set()  # deleted there as blobs, whatever manifests there name them
        self.had_blobs: set[str] = set()  # repositories to which a blob ever came
        self.had_tags: set[str] = set()  # repositories that ever had a tag
        self.was_used = False  # whether anything was ever stored
        self.stored: dict[str, int] = {}  # digest -> when it was put on disk or last uploaded
        self.steps = 0  # pushes and uploads so far, to say what came before what at one time
        self.last_pushed: dict[Link, int] = {}
        self.last_stored: dict[str, int] = {}
        self.hidden: set[Link] = set()  # linked, counted, and for clients not there
        self.linked_at: dict[Link, int] = {}  # explicit blob link -> when it was made last
        self.uploads: dict[int, Upload] = {}  # those that have not ended
        self.drift: dict[str, int] = {}  # scope -> what the vendor's counter says above the charge
        self.standing: dict[str, int] = {}  # scope -> when its counter, which stands still at 0, is counted
        self.released: dict[str, int] = {}  # digest -> when it last lost its last holder, or its last link having none

    # Who links, tags, contains, refers to whom.

    def repositories(self) -> set[str]:
        """Return every repository in which something is linked."""
        return {repository for repository, _ in [*self.links, *self.blob_links]}

    def linked_in(self, repository: str) -> set[str]:
        """Return the digests of the manifests linked in a repository."""
        return {digest for where, digest in self.links if where == repository}

    def live(self) -> set[str]:
        """Return the digests of the manifests that at least one repository links."""
        return {digest for _, digest in self.links}

    def tags_of(self, repository: str, digest: str) -> list[TagKey]:
        """Return the tags of a manifest in a repository, sorted."""
        return sorted(key for key, target in self.tags.items() if key[0] == repository and target == digest)

    def children_of(self, digest: str, among: set[str]) -> set[str]:
        """Return the children of an index that are among some manifests."""
        return set(self.manifests[digest].children or ()) & among

    def parents_of(self, digest: str, among: set[str]) -> set[str]:
        """Return the indexes among some manifests that list this one."""
        return {other for other in among if digest in (self.manifests[other].children or ())}

    def referrers_of(self, digest: str, among: set[str]) -> set[str]:
        """Return the manifests among some that have this one as their subject."""
        return {other for other in among if self.manifests[other].subject == digest}

    def reach(
        self, roots: set[str], among: set[str], *, children: bool, referrers: bool, subjects: bool = False
    ) -> set[str]:
        """Return what is reached from some roots without leaving ``among``."""
        found: set[str] = set()
        waiting = sorted(roots & among)
        while waiting:
            digest = waiting.pop()
            if digest in found:
                continue
            found.add(digest)
            if children:
                waiting.extend(self.children_of(digest, among))
            if referrers:
                waiting.extend(self.referrers_of(digest, among))
            if subjects:
                waiting.extend({self.manifests[digest].subject} & among)
        return found

    def holders(self, blob: str) -> set[str]:
        """Return the live manifests whose blobs contain this one."""
        return {digest for digest in self.live() if blob in self.manifests[digest].blobs()}

    def on_disk(self) -> set[Link]:
        """Return the links whose manifest is on disk; a collection may have swept it and left the link."""
        return {(where, digest) for where, digest in self.links if digest in self.stored}

    def readable(self) -> set[Link]:
        """Return the links that clients find."""
        return self.on_disk() - self.hidden

    def blobs_in(self, repository: str) -> set[str]:
        """Return the configs and layers that a repository has: stored, and linked there by themselves or a manifest."""
        named = {blob for digest in self.linked_in(repository) for blob in self.manifests[digest].content()}
        named -= {blob for where, blob in self.removed_blobs if where == repository}
        return (named | {blob for where, blob in self.blob_links if where == repository}) & set(self.stored)

    def linked_blobs(self) -> set[str]:
        """Return the blobs with an explicit blob link in any repository."""
        return {digest for _, digest in self.blob_links}

    # Figures of the registry (section 2).

    def size_of(self, blobs: set[str]) -> int:
        """Return the summed sizes of some blobs, unknown ones as 0."""
        return sum(self.blobs[digest].bytes for digest in blobs)

    def blobs_of(self, manifests: set[str]) -> set[str]:
        """Return the blobs of some manifests, each once."""
        return {blob for digest in manifests for blob in self.manifests[digest].blobs()}

    def logical_bytes(self) -> int:
        """Sum, over live manifests, the sizes of their distinct blobs."""
        return sum(self.size_of(set(self.manifests[digest].blobs())) for digest in self.live())

    def listed_bytes(self) -> int:
        """Sum, over live manifests, the sizes of all they list, repeats as often as listed."""
        return sum(blob.bytes for digest in self.live() for _, blob in self.manifests[digest].listing())

    def unique_bytes(self) -> int:
        """Sum the size of each held blob once, foreign ones included."""
        return self.size_of(self.blobs_of(self.live()))

    def foreign_bytes(self) -> int:
        """Return the foreign part of ``unique_bytes``."""
        return self.size_of({blob for blob in self.blobs_of(self.live()) if self.blobs[blob].foreign})

    def unknown_size_count(self) -> int:
        """Count the held blobs whose size is not known."""
        return sum(self.blobs[blob].size is None for blob in self.blobs_of(self.live()))

    def stored_bytes(self) -> int:
        """Return what is on disk."""
        return self.size_of(set(self.stored))

    # Scopes and bases.

    def scope_name(self, scope: str, repository: str) -> str:
        """Return the name of the scope in which a repository lies."""
        return {"REPOSITORY": repository, "NAMESPACE": namespace_of(repository), "REGISTRY": ""}[scope]

    def scopes(self, scope: str) -> set[str]:
        """Return the names of the scopes in which something is linked; the registry is always there."""
        found = {self.scope_name(scope, repository) for repository in self.repositories()}
        return found | {""} if scope == "REGISTRY" else found

    def manifests_in(self, scope: str, name: str, basis: str) -> set[str]:
        """Return the manifests that a basis looks at in a scope."""
        here = {where for where in self.repositories() if self.scope_name(scope, where) == name}
        inside = {digest for where, digest in self.links if where in here}
        if basis != "TAGGED":
            return inside
        tagged = {target for (where, _, _), target in self.tags.items() if where in here}
        return self.reach(tagged, inside, children=True, referrers=False)

    def basis_blobs(self, scope: str, name: str, basis: str) -> set[str]:
        """Return the blobs that a basis sees in a scope, foreign ones included."""
        if basis == "STORED":
            return set(self.stored)
        found = self.blobs_of(self.manifests_in(scope, name, basis))
        if basis == "LINKED":
            found |= {blob for where, blob in self.blob_links if self.scope_name(scope, where) == name}
        return found

    def basis_bytes(self, scope: str, basis: str) -> dict[str, int]:
        """Return the bytes of every scope on a basis, foreign ones left out, whatever the rules."""
        return {
            name: self.size_of({b for b in self.basis_blobs(scope, name, basis) if not self.blobs[b].foreign})
            for name in self.scopes(scope)
        }

    def counts(self, blob: str, name: str) -> bool:
        """Say whether the rules count a blob that the basis sees: foreign or not, and the role it plays.

        A blob counts if a manifest that the basis looks at names it in a counted role, or if nothing but an
        explicit link or the disk has it.
        """
        rules = self.rules
        if self.blobs[blob].foreign and not rules.counts_foreign:
            return False
        if rules.counts_config and rules.counts_manifests:
            return True
        roles = {
            role
            for digest in self.manifests_in(rules.scope, name, rules.basis)
            for role, listed in self.manifests[digest].listing()
            if listed.digest == blob
        }
        left_out = set() if rules.counts_config else {"config"}
        left_out |= set() if rules.counts_manifests else {"manifest"}
        return not roles or bool(roles - left_out)

    def charge(self, name: str) -> int:
        """Return what the rules charge one scope."""
        seen = self.basis_blobs(self.rules.scope, name, self.rules.basis)
        return self.size_of({blob for blob in seen if self.counts(blob, name)})

    def charged_by_scope(self) -> dict[str, int]:
        """Return what the rules charge every scope."""
        return {name: self.charge(name) for name in self.scopes(self.rules.scope)}

    def counted(self, name: str) -> int:
        """Return what the vendor counts in a scope: what its limit sees."""
        return 0 if name in self.standing else self.charge(name) + self.drift.get(name, 0)

    def counted_total(self) -> int:
        """Return the sum of what the vendor counts."""
        return sum(self.counted(name) for name in self.scopes(self.rules.scope) | set(self.drift))

    def counted_bytes(self) -> int | None:
        """Return what the vendor's own counter says, if it has one."""
        return self.counted_total() if self.rules.own_counter else None

    def upload_bytes(self) -> int:
        """Return the bytes of unfinished uploads."""
        return sum(upload.bytes for upload in self.uploads.values())

    def charged_bytes(self) -> int:
        """Return the sum of the scopes' charges."""
        return sum(self.charged_by_scope().values())

    def reference_count(self, blob: str, scope: str, name: str, basis: str) -> int:
        """Return how many references a blob has in a scope on a basis (not STORED)."""
        count = sum(blob in self.manifests[m].blobs() for m in self.manifests_in(scope, name, basis))
        if basis == "LINKED":
            count += sum(b == blob and self.scope_name(scope, where) == name for where, b in self.blob_links)
        return count
