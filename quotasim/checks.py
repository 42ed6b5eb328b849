"""Every structural rule of the state, verified from scratch. Slow on purpose: nothing here is incremental."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import basis_bytes, scope_names
from quotasim.engine import Engine
from quotasim.kernels import NULL, layout, sharing
from quotasim.model.content import descriptor_rows
from quotasim.model.totals import exact_sum

Array = npt.NDArray[Any]


def find_damage(engine: Engine) -> list[str]:
    """Return one sentence for every rule that does not hold; empty where all do.

    Rules: reference counts equal a recount and are never negative; running totals equal a recount and the cumulative
    sum of the log; charges per scope equal a recount; unfinished uploads have the bytes that are noted for their
    repositories; tags point to linked manifests and each link's list of tags is those that point to it; parent counts
    equal the linked indexes; what is held and not foreign is stored, unless a collector has swept it; ids and times are
    in range and the log's causes come before their effects.

    Notes
    -----
    O(references + links log links + events).
    """
    engine.sync()
    return [
        *_counts(engine),
        *_totals(engine),
        *_scopes(engine),
        *_uploads(engine),
        *_tags(engine),
        *_parents(engine),
        *_log(engine),
    ]


def _first(mask: Array) -> int:
    return int(np.flatnonzero(mask)[0])


def _counts(engine: Engine) -> Iterator[str]:
    graph, state, links = engine.content.graph(), engine.state, engine.names.links
    linked = np.flatnonzero(state.read("linked"))
    link_count = np.bincount(links.second[linked], minlength=engine.content.manifest_count)
    wrong = link_count != state.read("link_count")
    if wrong.any():
        m = _first(wrong)
        yield (
            f"link_count of manifest {engine.content.digest(int(graph.own[m]))} is {state.read('link_count')[m]}, "
            f"and {link_count[m]} repositories link it ({np.count_nonzero(wrong)} such)"
        )
    holders = np.zeros(engine.content.blob_count, np.int32)
    sharing.recount(graph, engine.live_manifests(), holders)
    wrong = holders != state.read("holders")
    if wrong.any():
        b = _first(wrong)
        yield (
            f"holders of blob {engine.content.digest(b)} is {state.read('holders')[b]}, "
            f"and {holders[b]} live manifests contain it ({np.count_nonzero(wrong)} such)"
        )
    missing = (holders > 0) & engine.storable() & (state.read("stored") == 0)
    # A policy that does not come upon a manifest, or not upon the name of a blob, has what they hold swept. The log
    # says which blobs, and the kernel must know that there are some.
    unexplained = missing.copy()
    unexplained[engine.log.column("blob")[engine.log.column("kind") == layout.OP_SWEEP]] = False
    if missing.any() and not state.cursor[layout.CURSOR_LOST]:
        unexplained = missing
    if unexplained.any():
        blob = engine.content.digest(_first(unexplained))
        yield f"blob {blob} is held and not stored ({np.count_nonzero(unexplained)} such)"


def _totals(engine: Engine) -> Iterator[str]:
    running, counted = engine.figures(), engine.recompute()
    for name, value in counted.items():
        if running[name] != value:
            yield f"{name} is {running[name]:,} by running total and {value:,} by recount"
    columns = {
        "unique_bytes": "unique_bytes",
        "charged_bytes": "charged_bytes",
        "stored_bytes": "stored_bytes",
        "upload_bytes": "upload_bytes",
        "drift_bytes": "drift_bytes",
        "live_blobs": "blobs",
        "live_manifests": "manifests",
        "bindings": "bindings",
    }
    for name, column in columns.items():
        logged = exact_sum(engine.log.column(column))
        if logged != counted[name]:
            yield f"{name} is {counted[name]:,} by recount and the log's deltas add up to {logged:,}"


def _scopes(engine: Engine) -> Iterator[str]:
    profile = engine.profile
    counted = basis_bytes(
        engine.content,
        engine.names,
        engine.state,
        profile.scope,
        profile.basis,
        role_mask=profile.role_mask,
        counts_foreign=profile.counts_foreign,
    )
    for name, used, right in zip(scope_names(engine.names, profile.scope), engine.ledger.used(), counted, strict=True):
        if used != right:
            yield f"the charge of scope '{name}' is {used:,} in the ledger and {right:,} by recount"


def _uploads(engine: Engine) -> Iterator[str]:
    state, ledger = engine.state, engine.ledger
    received, repository = state.read("upload_bytes"), state.read("upload_repository")
    closed = (state.read("upload_open") == 0) & (received != 0)
    if closed.any() or (received < 0).any():
        yield f"upload {_first(closed | (received < 0))} has ended, or begun, with {int(received.min()):,} bytes"
    begun = state.read("upload_event") != NULL
    counted = np.zeros(len(engine.names.repositories), np.int64)
    np.add.at(counted, repository[begun], received[begun])
    wrong = counted != state.read("uploading")
    if wrong.any():
        row = _first(wrong)
        name = engine.names.repositories.values[row]
        yield f"{name} has {counted[row]:,} bytes of unfinished uploads, and {state.read('uploading')[row]:,} are noted"
    if engine.profile.counter == "derived" and any(ledger.drifts()):
        yield "the counter of a kind without one of its own has drifted"
    standing = [
        name
        for name, still, counter in zip(
            scope_names(engine.names, engine.profile.scope), ledger.uncounted, ledger.counted(), strict=True
        )
        if still and counter
    ]
    if standing:
        yield f"the counter of scope '{standing[0]}' stands still, and is not 0"


def _tags(engine: Engine) -> Iterator[str]:
    state, names = engine.state, engine.names
    targets = state.read("tag_link")
    bound = np.flatnonzero(targets != NULL)
    unlinked = state.read("linked")[targets[bound]] == 0
    if unlinked.any():
        yield f"tag {names.tag_label(int(bound[_first(unlinked)]))} points to a manifest that is not linked"
    astray = names.links.first[targets[bound]] != names.tag_repository[bound]
    if astray.any():
        yield f"tag {names.tag_label(int(bound[_first(astray)]))} points into another repository"
    count = np.bincount(targets[bound], minlength=len(names.links))
    wrong = count != state.read("tag_count")
    if wrong.any():
        link = _first(wrong)
        yield f"tag_count of link {link} is {state.read('tag_count')[link]}, and {count[link]} tags point to it"
    follow, first = state.read("tag_next"), state.read("first_tag")
    listed = 0
    for link in np.flatnonzero(first != NULL).tolist():
        tag, steps = int(first[link]), 0
        while tag != NULL and steps <= count[link]:
            if targets[tag] != link:
                yield f"the list of tags of link {link} has tag {tag}, which points to link {targets[tag]}"
                break
            tag, steps = int(follow[tag]), steps + 1
        listed += steps
    if listed != bound.size:
        yield f"the links' lists have {listed} tags, and {bound.size} tags point to something"


def _parents(engine: Engine) -> Iterator[str]:
    graph, state, links = engine.content.graph(), engine.state, engine.names.links
    linked = np.flatnonzero(state.read("linked"))
    indexes = linked[graph.kind[links.second[linked]] == layout.KIND_INDEX]
    parents = links.second[indexes]
    child = graph.blob_manifest[graph.target[descriptor_rows(engine.content, parents)]]
    repository = np.repeat(links.first[indexes], graph.indptr[parents + 1] - graph.indptr[parents])
    below = links.find_all(repository[child != NULL], child[child != NULL])
    count = np.bincount(below[below != NULL], minlength=len(links))
    wrong = count != state.read("parent_count")
    if wrong.any():
        link = _first(wrong)
        has = state.read("parent_count")[link]
        yield f"parent_count of link {link} is {has}, and {count[link]} linked indexes list it"


def _log(engine: Engine) -> Iterator[str]:
    log = engine.log
    if len(log) == 0:
        return
    time, cause = log.column("time"), log.column("cause")
    if np.any(np.diff(time) < 0):
        yield f"event {_first(np.diff(time) < 0) + 1} lies before the one before it in time"
    if time[-1] > engine.state.now:
        yield f"the last event lies {int(time[-1]) - engine.state.now} microseconds after the registry's time"
    late = cause >= np.arange(len(log))
    if late.any():
        yield f"event {_first(late)} is caused by a later one"
    for name in ("link_event", "untagged_event", "tag_event", "stored_event", "released_event"):
        rows = engine.state.read(name)
        if rows.size and int(rows.max()) >= len(log):
            yield f"{name} points to event {int(rows.max())}, and the log has {len(log)}"
