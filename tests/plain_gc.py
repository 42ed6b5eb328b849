"""A collection worked out with sets from the tables of a snapshot: what a plan is compared with at full size."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pandas as pd

import quotasim as qs


class Facts:
    """What a snapshot says, as lists and dicts. Subjects are not looked at: the real history has none."""

    def __init__(self, snapshot: Path) -> None:
        def read(name: str) -> pd.DataFrame:
            return pd.read_parquet(snapshot / f"{name}.parquet")

        manifests, blobs, links, tags = read("manifests"), read("blobs"), read("links"), read("tags")
        assert manifests["subject_blob_id"].isna().all()
        self.repository = read("repositories")["name"].tolist()
        self.own = manifests["blob_id"].tolist()
        self.is_index = (manifests["kind"] == "index").tolist()
        self.named: dict[int, set[int]] = defaultdict(set)
        for row in read("descriptors")[["manifest_id", "blob_id"]].itertuples(index=False):
            self.named[row.manifest_id].add(row.blob_id)
        self.manifest_of = {blob: manifest for manifest, blob in enumerate(self.own)}
        self.size = blobs["size"].fillna(0).astype(int).tolist()
        self.stored = set(blobs.index[blobs["stored"]].tolist())
        time = read("events")["time"].astype("int64").tolist()
        self.placed = self._times(blobs["stored_event"], time)
        self.released = self._times(blobs["released_event"], time)
        linked = links[links["linked"]]
        self.links = dict(
            zip(linked["link_id"], zip(linked["repository_id"], linked["manifest_id"], strict=True), strict=True)
        )
        self.pushed = self._times(links["link_event"], time)
        self.untagged = self._times(links["untagged_event"], time)
        self.tagged = set(tags["link_id"].dropna().astype(int).tolist())
        blob_links = read("blob_links")
        self.loose = set(blob_links.loc[~blob_links["removed"], "blob_id"].tolist())

    @staticmethod
    def _times(events: pd.Series, time: list[int]) -> list[int | None]:
        return [None if pd.isna(event) else time[int(event)] for event in events.tolist()]


def plan(facts: Facts, policy: qs.GcPolicy, at: int) -> tuple[set[int], set[int], int]:
    """Return (links that go, blobs that go, their bytes)."""

    def young(*times: int | None) -> bool:
        return policy.grace > 0 and max((time for time in times if time is not None), default=at - policy.grace) > (
            at - policy.grace
        )

    by_pair = {pair: link for link, pair in facts.links.items()}
    if policy.marks == "in turn":
        marked = marked_in_turn(facts, by_pair, policy.roots == "ALL")
        swept = facts.stored - marked
        kept = {link for link, (_, manifest) in facts.links.items() if facts.own[manifest] in marked}
        return set(facts.links) - kept, swept, sum(facts.size[blob] for blob in swept)
    kept = set(facts.links)
    if policy.roots == "TAGS":
        kept = {link for link in facts.links if link in facts.tagged or young(facts.pushed[link], facts.untagged[link])}
        waiting = list(kept) if policy.index_children == "recursive" else []
        while waiting:
            repository, manifest = facts.links[waiting.pop()]
            for blob in facts.named[manifest] if facts.is_index[manifest] else ():
                child = by_pair.get((repository, facts.manifest_of.get(blob)))
                if child is not None and child not in kept:
                    kept.add(child)
                    waiting.append(child)
    marked = set(facts.loose) if policy.honour_blob_links else set()
    for manifest in {facts.links[link][1] for link in kept}:
        marked.add(facts.own[manifest])
        marked |= facts.named[manifest]  # of an index, its children's own bytes
    swept = {
        blob
        for blob in facts.stored - marked
        if not young(facts.placed[blob], None if policy.blob_grace == "stored" else facts.released[blob])
    }
    return set(facts.links) - kept, swept, sum(facts.size[blob] for blob in swept)


def marked_in_turn(facts: Facts, by_pair: dict[tuple[int, int], int], every: bool) -> set[int]:
    """Return what one set of marks for all repositories holds in the end; every repository has a tag and a blob."""
    marked: set[int] = set()

    def turn(link: int) -> list[str]:
        return [*facts.repository[facts.links[link][0]].split("/"), "_layers"]

    for root in sorted((link for link in facts.links if every or link in facts.tagged), key=turn):
        repository, manifest = facts.links[root]
        marked.add(facts.own[manifest])
        waiting = [manifest]
        while waiting:
            for blob in facts.named[waiting.pop()] - marked:
                marked.add(blob)
                child = facts.manifest_of.get(blob)
                if (repository, child) in by_pair:
                    waiting.append(child)
    return marked
