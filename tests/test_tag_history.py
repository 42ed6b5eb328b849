"""What the tags of a table set amount to: their targets at the end, and the links of the history."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.importers.digest_columns import text
from quotasim.importers.tables import read_tables
from quotasim.importers.tag_history import LinkState, Target, final_bindings, history_links, resolve_tags
from quotasim.model.digests import format_digests

from .table_sets import NULL, sha256, small_set, write_csv


def tag_names(tables, resolved):
    """What each tag points to, in words."""
    targets = {}
    for g in range(resolved.tag.size):
        name = f"{tables.repositories[resolved.repository[g]]}:{tables.tags[resolved.tag[g]]}"
        targets[name] = (Target(resolved.target_kind[g]).name, int(resolved.target[g]))
    return targets


def test_the_tags_of_the_hand_made_history(root):
    tables = read_tables(root / "data" / "tables")
    resolved = resolve_tags(tables)
    targets = tag_names(tables, resolved)
    assert len(targets) == 26
    # Two tags on one index; an index with a single child; an image whose index has another child too.
    assert targets["alpine:latest"] == targets["alpine:3.19"]
    assert targets["alpine:latest"][0] == "INDEX"
    assert targets["hello-world:latest"][0] == "INDEX"
    assert targets["team-b/web:v1"][0] == "IMAGE"
    # Of the two indexes over the same children the one with the lower digest.
    digest = text(tables.indexes.digest, targets["team-b/web:v2"][1])
    assert digest == min(sha256("index shop 2"), sha256("index shop 2 again"))
    assert targets["platform/tools/lint:v2"] == ("SYNTHETIC_INDEX", 0)
    children = sorted(
        sha256(f"image lint 2 {name} linux/{platform}")
        for name, platform in (("amd64", "amd64"), ("arm64", "arm64/v8"))
    )
    assert resolved.synthetic_digests == (sha256("\n".join(["index of", *children])),)
    assert resolved.synthetic_indptr.tolist() == [0, 2]
    assert resolved.synthetic_child.size == 2
    # What two tags exchanged within one batch.
    assert targets["team-a/worker:v1"] == ("IMAGE", image_row(tables, "worker 4"))
    assert targets["team-a/worker:canary"] == ("IMAGE", image_row(tables, "worker 3"))
    assert "platform/tools/lint:nightly" not in targets


def image_row(tables, label):
    return format_digests(tables.manifests.digest).index(sha256(f"image {label} linux/amd64"))


def test_the_links_of_the_hand_made_history(root):
    tables = read_tables(root / "data" / "tables")
    links = history_links(tables)
    row_of = {
        (tables.repositories[repository], int(manifest)): at
        for at, (repository, manifest) in enumerate(zip(links.repository, links.manifest, strict=True))
    }
    web_1 = row_of["team-a/web", image_row(tables, "web 1")]
    assert links.state[web_1] == LinkState.TAGGED
    assert links.last_unbound[web_1] == NULL
    # A tag that was created and deleted in one batch has left its image behind.
    nightly = row_of["platform/tools/lint", image_row(tables, "lint nightly-0220")]
    assert links.state[nightly] == LinkState.UNTAGGED
    assert links.first_bound[nightly] == links.last_unbound[nightly] == 1_708_444_800_000_000
    # "mirror/alpine" held what "alpine" lists.
    assert [name for name, _ in row_of].count("mirror/alpine") == 2
    # All indexes but the second one over the same children; one of them in two repositories.
    assert len(set(links.index.tolist())) == tables.indexes.indptr.size - 2
    assert links.index.size == tables.indexes.indptr.size - 1


def test_the_tags_of_the_hand_made_state(root):
    tables = read_tables(root / "data" / "tables-tags")
    assert tag_names(tables, resolve_tags(tables)) == {
        "store/shop:latest": ("IMAGE", 2),
        "store/shop:1.0": ("IMAGE", 0),
        "store/archive:1.0": ("IMAGE", 0),
        "store/cart:2": ("SYNTHETIC_INDEX", 0),
        "batch:nightly": ("IMAGE", 5),
        "batch:unknown": ("IMAGE", 6),
    }
    links = history_links(tables)
    assert links.state.tolist().count(LinkState.NEVER_TAGGED) == 2


MANIFESTS = 4


@st.composite
def histories(draw):
    """Batches of changes to a few tags, and some indexes."""
    batches = draw(
        st.lists(
            st.dictionaries(
                st.sampled_from([("r", "a"), ("r", "b"), ("s", "a")]),
                st.lists(st.integers(0, MANIFESTS - 1), max_size=3),
                min_size=1,
            ),
            max_size=6,
        )
    )
    indexes = draw(st.lists(st.sets(st.integers(0, MANIFESTS - 1), min_size=1, max_size=3), max_size=4))
    return batches, indexes


@given(history=histories())
def test_resolving_against_sets_and_dictionaries(tmp_path_factory, history):
    batches, indexes = history
    rows, state, pointed = [], {}, set()
    names = {f"i{n}": children for n, children in enumerate(indexes)}
    index_of = {}
    for name in sorted(names, key=sha256):
        index_of.setdefault(frozenset(names[name]), sha256(name))
    for at, batch in enumerate(batches):
        for (repository, tag), manifests in batch.items():
            before = state.get((repository, tag), [])
            for platform in range(max(len(before), len(manifests))):
                old = before[platform] if platform < len(before) else None
                new = manifests[platform] if platform < len(manifests) else None
                if old != new:
                    op = "delete" if new is None else "create" if old is None else "update"
                    time = f"2024-01-{at + 1:02}T00:00:00Z"
                    rows.append((time, repository, tag, f"p{platform}", op, old if new is None else new, old, str(at)))
            state[repository, tag] = manifests
        pointed |= {
            (repository, index_of[frozenset(manifests)])
            for (repository, _), manifests in state.items()
            if frozenset(manifests) in index_of
        }
    columns = (
        "observed_at",
        "repository",
        "tag",
        "platform",
        "op",
        "manifest_id",
        "prev_manifest_id",
        "scan_commit",
    )
    tables = small_set()
    tables["tag_events"] = {name: [row[k] for row in rows] for k, name in enumerate(columns)}
    tables["manifests"] = {
        "manifest_id": list(range(MANIFESTS)),
        "manifest_digest": [sha256(f"m{n}") for n in range(MANIFESTS)],
        "repository": ["r"] * MANIFESTS,
    }
    pairs = [(name, child) for name, children in names.items() for child in children]
    tables["indexes"] = {
        "index_digest": [sha256(name) for name, _ in pairs],
        "manifest_id": [child for _, child in pairs],
    }
    directory = tmp_path_factory.mktemp("history")
    tables = read_tables(write_csv(directory, tables))
    shutil.rmtree(directory)

    expected = {}
    for (repository, tag), manifests in state.items():
        if manifests:
            digest = index_of.get(frozenset(manifests))
            expected[repository, tag] = digest or (set(manifests), len(set(manifests)) > 1)
    resolved = resolve_tags(tables)
    found = {}
    for g in range(resolved.tag.size):
        key = (tables.repositories[resolved.repository[g]], tables.tags[resolved.tag[g]])
        bound = set(resolved.manifest[resolved.indptr[g] : resolved.indptr[g + 1]].tolist())
        kind, target = resolved.target_kind[g], resolved.target[g]
        if kind == Target.INDEX:
            found[key] = text(tables.indexes.digest, target)
        else:
            found[key] = (bound, kind == Target.SYNTHETIC_INDEX)
            if kind == Target.IMAGE:
                assert bound == {target}
    assert found == expected
    links = history_links(tables)
    assert pointed == {
        (tables.repositories[repository], text(tables.indexes.digest, index))
        for repository, index in zip(links.index_repository, links.index, strict=True)
    }


# -- the real history ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_tables(real_data):
    return read_tables(real_data / "repo_info")


def test_the_real_end_state(real_tables):
    resolved = resolve_tags(real_tables)
    assert final_bindings(real_tables).size == 11_216
    assert resolved.tag.size == 3_256
    kinds = resolved.target_kind
    targets = resolved.target
    assert np.bincount(kinds).tolist() == [142, 3_114]
    indexes = set(targets[kinds == Target.INDEX].tolist())
    assert len(indexes) == 1_008
    assert len(set(targets[kinds == Target.IMAGE].tolist())) == 34
    live = set(resolved.manifest.tolist())
    assert len(live) == 3_145
    bounds = real_tables.indexes.indptr
    children = {
        child for index in indexes for child in real_tables.indexes.child[bounds[index] : bounds[index + 1]].tolist()
    }
    assert len(children & live) == 3_111


def test_the_real_history_of_links(real_tables):
    assert len(real_tables.blobs.digest) == 150_296
    links = history_links(real_tables)
    repositories = np.bincount(links.manifest)
    assert (repositories > 0).sum() == 66_886
    assert (repositories > 1).sum() == 121
    assert len(set(links.index.tolist())) == 20_687
    assert np.bincount(links.state).tolist() == [0, 3_145, 63_862]
    still = links.state == LinkState.TAGGED
    assert (links.last_unbound[still] == NULL).all()
    assert (links.last_unbound[~still] >= links.first_bound[~still]).all()
