"""Small layer graphs, drawn by Hypothesis: as plain Python values, and as the arrays that kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from quotasim.kernels import layout
from quotasim.model.names import PairIndex

NULL = -1
SIZES = (0, 1, 2, 3, 32, 1_001, 2**40, 2**59 + 7)  # eight of the largest overflow nothing that one manifest adds up
ROLES = (layout.ROLE_CONFIG, layout.ROLE_LAYER, layout.ROLE_CONFIG | layout.ROLE_LAYER)


@dataclass(frozen=True)
class Manifest:
    own: int
    is_index: bool
    listed: dict[int, int]  # role bits of each blob, in order
    subject: int = NULL

    @property
    def blobs(self) -> dict[int, int]:
        """Its blobs and their role bits: an index has its own bytes only."""
        return {self.own: layout.ROLE_OWN} | ({} if self.is_index else self.listed)


@dataclass(frozen=True)
class World:
    sizes: list[int]
    foreign: set[int]
    manifests: list[Manifest]
    links: list[tuple[int, int]]  # (repository, manifest), each once
    namespaces: list[int]  # of each repository

    @property
    def manifest_of(self) -> dict[int, int]:
        """The manifest that a blob is."""
        return {manifest.own: m for m, manifest in enumerate(self.manifests)}

    def children(self, m: int) -> list[int]:
        """Known children of a manifest."""
        listed = self.manifests[m].listed if self.manifests[m].is_index else {}
        return [self.manifest_of[blob] for blob in listed if blob in self.manifest_of]

    def referrers(self, m: int) -> list[int]:
        """Manifests whose subject it is."""
        return [k for k, manifest in enumerate(self.manifests) if manifest.subject == self.manifests[m].own]

    def bytes_of(self, blobs: set[int]) -> int:
        """The sum of their sizes."""
        return sum(self.sizes[blob] for blob in blobs)

    def graph(self) -> layout.Graph:
        """The arrays."""
        manifests, own = self.manifests, self.manifest_of
        refers = sorted((m.subject, k) for k, m in enumerate(manifests) if m.subject != NULL)
        late = sorted((child, index) for index in range(len(manifests)) for child in self.children(index))
        late = [(child, index) for child, index in late if child > index]
        flags = [layout.FLAG_FOREIGN if blob in self.foreign else 0 for blob in range(len(self.sizes))]
        return layout.Graph(
            np.cumsum([0, *(len(m.listed) for m in manifests)]).astype(np.int64),
            np.array([blob for m in manifests for blob in m.listed], np.int32),
            np.array([role for m in manifests for role in m.listed.values()], np.uint8),
            np.array([m.own for m in manifests], np.int32),
            np.array([layout.KIND_INDEX if m.is_index else layout.KIND_IMAGE for m in manifests], np.uint8),
            np.array([self.bytes_of(set(m.blobs)) for m in manifests], np.int64),
            np.array([m.subject for m in manifests], np.int32),
            np.array(self.sizes, np.int64),
            np.array(flags, np.uint8),
            np.array([own.get(blob, NULL) for blob in range(len(self.sizes))], np.int32),
            np.array([subject for subject, _ in refers], np.int32),
            np.array([referrer for _, referrer in refers], np.int32),
            np.array([child for child, _ in late], np.int32),
            np.array([index for _, index in late], np.int32),
        )

    def names(self) -> layout.Names:
        """The keys of links, row k being ``links[k]``."""
        pairs = PairIndex()
        keys = np.array(self.links, np.int32).reshape(-1, 2)
        pairs.add_all(keys[:, 0], keys[:, 1])
        return layout.Names(pairs.first, pairs.second, pairs.table, np.array(self.namespaces, np.int32))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Images that share, index children known late or never, nested indexes, and subjects in every direction."""
    count = draw(st.integers(1, 7))
    blobs = count + draw(st.integers(0, 4))
    own = draw(st.permutations(range(blobs)))[:count]
    depth = draw(st.permutations(range(count)))  # an index lists what is less deep: no index contains itself
    manifests = []
    for m in range(count):
        is_index = draw(st.booleans())
        below = {own[k] for k in range(count) if depth[k] < depth[m]} | set(range(blobs)) - set(own)
        allowed = sorted(below) if is_index else sorted(set(range(blobs)) - {own[m]})
        listed = draw(st.lists(st.sampled_from(allowed), unique=True, max_size=6)) if allowed else []
        roles = [layout.ROLE_CHILD if is_index else draw(st.sampled_from(ROLES)) for _ in listed]
        subject = draw(st.sampled_from([NULL, *range(blobs)]))
        manifests.append(Manifest(own[m], is_index, dict(zip(listed, roles, strict=True)), subject))
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=blobs, max_size=blobs))
    namespaces = draw(st.lists(st.integers(0, 1), min_size=3, max_size=3))
    link = st.tuples(st.integers(0, 2), st.integers(0, count - 1))
    links = draw(st.lists(link, unique=True, max_size=14))
    return World(sizes, draw(st.sets(st.integers(0, blobs - 1))), manifests, links, namespaces)


def draw_groups(draw: st.DrawFn, world: World) -> list[list[int]]:
    """Return groups of manifests, each at most once in a group."""
    some = st.lists(st.integers(0, len(world.manifests) - 1), unique=True)
    return draw(st.lists(some, max_size=4))


def csr(groups: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return groups as int64[G+1] and int32[n]."""
    indptr = np.cumsum([0, *map(len, groups)]).astype(np.int64)
    return indptr, np.array([row for group in groups for row in group], np.int32)
