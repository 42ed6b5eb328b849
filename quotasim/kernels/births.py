"""What each push brings that is not there yet, in a history of tags that are bound, moved and removed."""

from quotasim.kernels.compile import kernel, part
from quotasim.kernels.layout import NULL


@part
def _hold(indptr, target, size, holders, manifest):
    """Count a manifest that comes to life; returns the bytes of its blobs that nothing held."""
    new = size[0] - size[0]
    for e in range(indptr[manifest], indptr[manifest + 1]):
        if holders[target[e]] == 0:
            new += size[target[e]]
        holders[target[e]] += 1
    return new


@part
def _release(indptr, target, links, manifest_links, holders, link, manifest):
    """Let go of a link that has no tag and no push without one; its manifest dies with its last link."""
    if links[link, 0] > 0 or links[link, 1] > 0 or links[link, 2] == 0:
        return
    links[link, 2] = 0
    manifest_links[manifest] -= 1
    if manifest_links[manifest] == 0:
        for e in range(indptr[manifest], indptr[manifest + 1]):
            holders[target[e]] -= 1


@kernel
def new_bytes(
    batch, act, key, link, link_manifest, indptr, target, size, tags, links, manifest_links, holders, moved, new
):
    """Replay a history by tags: what no tag holds, and was not pushed without one, is dead at once.

    batch          int32[T]     rows of one batch: what they add comes before what they take
    act            uint8[T]     1 binds ``key`` to ``link``, or without a key pushes it; 2 unbinds ``key``; 3 deletes
                                ``link`` with all that is bound to it; 0 nothing
    key, link      int64[T]     rows of ``tags`` and ``links``, or NULL
    link_manifest  int64[L]
    indptr, target, size   int64[M+1], int32[E], int64[B]; no manifest names a blob twice
    tags           int64[K, 2], WRITTEN: (link or NULL, how often that had been deleted when bound), NULL at first
    links          int64[L, 4], WRITTEN: (tags, 1 if pushed without one, 1 if alive, times deleted), 0 at first
    manifest_links int32[M], WRITTEN: living links, 0 at first
    holders        int32[B], WRITTEN: living manifests that name the blob, 0 at first
    moved          int64[T], WRITTEN: scratch
    new            int64[T], WRITTEN: bytes that a row brought a manifest to life with, NULL where it did not
    cost           O(T + references of what comes to life and dies)
    """
    count = batch.shape[0]
    begin = 0
    while begin < count:
        end = begin
        while end < count and batch[end] == batch[begin]:
            end += 1
        for t in range(begin, end):
            moved[t], new[t] = NULL, NULL
            if act[t] != 1:
                continue
            one = link[t]
            if key[t] == NULL:
                links[one, 1] = 1
            else:
                k = key[t]
                if tags[k, 0] != NULL and links[tags[k, 0], 3] == tags[k, 1]:
                    if tags[k, 0] == one:
                        continue
                    links[tags[k, 0], 0] -= 1
                    moved[t] = tags[k, 0]
                tags[k, 0], tags[k, 1] = one, links[one, 3]
                links[one, 0] += 1
            if links[one, 2] == 0:
                links[one, 2] = 1
                manifest = link_manifest[one]
                manifest_links[manifest] += 1
                if manifest_links[manifest] == 1:
                    new[t] = _hold(indptr, target, size, holders, manifest)
        for t in range(begin, end):
            gone = moved[t]
            if act[t] == 2:
                k = key[t]
                gone = tags[k, 0]
                if gone != NULL and links[gone, 3] == tags[k, 1] and (link[t] == NULL or link[t] == gone):
                    links[gone, 0] -= 1
                    tags[k, 0] = NULL
                else:
                    gone = NULL
            elif act[t] == 3:
                gone = link[t]
                links[gone, 0], links[gone, 1] = 0, 0
                links[gone, 3] += 1
            if gone != NULL:
                _release(indptr, target, links, manifest_links, holders, gone, link_manifest[gone])
        begin = end
