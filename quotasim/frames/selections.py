"""What a retention policy keeps and removes, with a reason for every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.engine import Engine
from quotasim.frames.columns import categories, digest_categories, text, times
from quotasim.kernels import NULL
from quotasim.retention.evaluate import FIRST_THAT_GOES, LOCKED, NO_RULE, Fate, Selection
from quotasim.units import format_duration

Array = npt.NDArray[Any]

_FATES = {
    Fate.BELONGS: "part of something that stays",
    Fate.LEFT: "without a tag: the policy leaves it",
    Fate.WAITS: "without a tag for {age}: not long enough",
    Fate.LOCKED: "locked against deletion",
    Fate.LAST_TAG: "its last tag goes",
    Fate.ALONG: "goes with what lists it, or is its subject",
    Fate.UNTAGGED: "without a tag for {age}",
}


def selection(engine: Engine, selected: Selection) -> pd.DataFrame:
    """One row a tag, and one a manifest that has no tag afterwards: what becomes of it, and why.

    Parameters
    ----------
    selected : of :meth:`quotasim.Registry.select`, for this engine.

    Returns
    -------
    A frame of ``repository``, ``tag`` (missing for a manifest), ``manifest`` (digest; of a tag with several platforms
    one of them), ``at`` (when the tag was set; since when the manifest has none, or was pushed last), ``kept`` (bool),
    ``reason`` (str). By repository the tags first, the one set last at the top, then the manifests.

    Notes
    -----
    O(rows).

    Examples
    --------
    >>> from quotasim import Blob, Image, KeepNewest, Registry, RetentionPolicy
    >>> registry = Registry("acr-premium")
    >>> for number in range(2):
    ...     _ = registry.push(f"app:{number}", Image([Blob.synthetic(f"layer {number}", 100)]))
    ...     registry.advance("1d")
    >>> frame = selection(registry.engine, registry.select(RetentionPolicy([KeepNewest(1)])))
    >>> frame[["tag", "kept", "reason"]].to_csv(index=False).splitlines()[1:]  # doctest: +NORMALIZE_WHITESPACE
    ["1,True,number 1 of its repository's tags by age; the newest 1 stay",
     "0,False,number 2 of its repository's tags by age; the newest 1 stay",
     ',False,its last tag goes']
    """
    names, own = engine.names, engine.content.graph().own
    repository = np.concatenate((selected.repository, names.links.first[selected.manifest]))
    link = np.concatenate((selected.link, selected.manifest))
    is_tag = np.arange(link.size) < selected.repository.size
    name = np.full(link.size, NULL, np.int64)
    name[is_tag] = selected.tag_name
    kept = np.concatenate((selected.kept, selected.fate < FIRST_THAT_GOES))
    reasons = [_of_tag(selected, row) for row in range(selected.repository.size)]
    reasons += [
        _FATES[Fate(fate)].format(age=format_duration(selected.now - since))
        for fate, since in zip(selected.fate.tolist(), selected.since.tolist(), strict=True)
    ]
    titles = names.repositories.values
    shown = categories(repository, titles)
    order = np.lexsort((np.arange(link.size), ~is_tag, shown.codes))
    return pd.DataFrame(
        {
            "repository": shown[order],
            "tag": categories(name[order], names.tag_names.values),
            "manifest": digest_categories(engine, own[names.links.second[link[order]]]),
            "at": times(np.concatenate((selected.time, selected.since))[order]),
            "kept": kept[order],
            "reason": text([reasons[row] for row in order.tolist()]),
        }
    )


def _of_tag(selected: Selection, row: int) -> str:
    """Return why a tag stays or goes."""
    rule = int(selected.rule[row])
    if rule == LOCKED:
        return "locked against deletion, or its manifest is"
    age = selected.now - int(selected.time[row])
    ranks = selected.rank[:, row].tolist()
    if rule != NO_RULE:
        return selected.policy.keep[rule].reason(ranks[rule], age)
    looked = zip(selected.policy.keep, ranks, strict=True)
    return "; ".join(keep.reason(rank, age) for keep, rank in looked if rank) or "no rule looks at it"
