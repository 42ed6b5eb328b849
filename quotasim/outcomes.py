"""What became of a push or a deletion, read from the events that it caused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quotasim.accounting.basis import scope_names
from quotasim.accounting.quota import Decision, Verdict
from quotasim.engine import Engine, Outcome
from quotasim.kernels import layout
from quotasim.model.log import EventKind, Reason
from quotasim.model.oci import Image, Index, parse_reference
from quotasim.model.totals import exact_sum
from quotasim.results import DeleteResult, PushResult
from quotasim.units import format_bytes

_REASONS = {
    Reason.NONE: "",
    Reason.QUOTA: "quota",
    Reason.LOCKED: "locked",
    Reason.NOT_LINKED: "not linked",
    Reason.IMMUTABLE: "immutable tag",
    Reason.CHILD: "child of an index",
    Reason.TAGGED: "tagged",
    Reason.REFERRER: "has referrers",
    Reason.READ_ONLY: "read only",
}


def verdict_of(engine: Engine, outcome: Outcome, scope: int, used: int, reference: str) -> Verdict:
    """Return the quota's word on a push of ``reference`` that has been applied."""
    profile = engine.profile
    limit = engine.ledger.limits()[scope]
    name = scope_names(engine.names, engine.profile.scope)[scope]
    if outcome.refused:
        reasons = engine.log.column("reason", outcome.first_event)
        reason = Reason(int(reasons[reasons != Reason.NONE][0]))
        needed = outcome.needed_bytes if reason is Reason.QUOTA else 0
        words = {Reason.QUOTA: profile.refusal, Reason.IMMUTABLE: profile.immutable_refusal}.get(reason)
        seen = None
        if words is not None:
            seen = words.filled(
                needed=format_bytes(needed),
                used=format_bytes(used),
                limit="" if limit is None else format_bytes(limit),
                scope=name,
                reference=reference,
                repository=parse_reference(reference).repository,
                tag=parse_reference(reference).tag,
            )
        return Verdict(Decision.REJECT, name, used, needed, limit, _REASONS[reason], seen)
    charged = engine.log.column("charged_bytes", outcome.first_event)
    needed = exact_sum(charged[charged > 0])
    included, warn_at = profile.included, profile.warn_at
    if included is not None and used + needed > included:
        return Verdict(Decision.WARN, name, used, needed, included, "included")
    if limit is not None and warn_at is not None and 100 * (used + needed) >= limit * warn_at:
        return Verdict(Decision.WARN, name, used, needed, limit, f"{warn_at} %")
    return Verdict(Decision.ACCEPT, name, used, needed, limit)


def push_result(
    engine: Engine,
    manifest: Image | Index,
    rows: Sequence[int],
    outcome: Outcome,
    scope: int,
    used: int,
    reference: str,
) -> PushResult:
    """Return what became of pushing ``manifest`` as ``reference``; its rows with its children are ``rows``."""
    graph, log = engine.content.graph(), engine.log
    verdict = verdict_of(engine, outcome, scope, used, reference)
    kinds = log.column("kind", outcome.first_event)
    stored = log.column("stored_bytes", outcome.first_event)
    pushed = (kinds == EventKind.PUSH) | (kinds == EventKind.TAG)
    uploaded = exact_sum(stored[pushed])
    accepted = verdict.decision is not Decision.REJECT
    named = np.unique(np.concatenate([engine.blobs_of(row) for row in rows]))
    if not engine.profile.counts_foreign:
        named = named[(graph.flags[named] & layout.FLAG_FOREIGN) == 0]
    held = exact_sum(graph.size[named]) - uploaded if accepted else 0
    return PushResult(accepted, manifest.digest, uploaded, held, verdict)


def delete_result(engine: Engine, outcome: Outcome) -> DeleteResult:
    """Summarise the events of a deletion."""
    log, first = engine.log, outcome.first_event
    kind = log.column("kind", first)
    repository, manifest, tag = (log.column(name, first) for name in ("repository", "manifest", "tag"))
    names, own = engine.names, engine.content.graph().own

    def label(row: int) -> str:
        return f"{names.repositories.values[repository[row]]}@{engine.content.digest(int(own[manifest[row]]))}"

    gone = np.flatnonzero((kind == EventKind.DELETE) | (kind == EventKind.COLLECT))
    # Where a deletion only ends the tags, its manifest is still there.
    links = names.links.find_all(repository[gone], manifest[gone])
    gone = gone[engine.state.read("linked")[links] == 0]
    untagged = np.flatnonzero(kind == EventKind.UNTAG)
    return DeleteResult(
        tuple(label(row) for row in gone.tolist()),
        tuple(f"{names.repositories.values[repository[row]]}:{names.tag_label(tag[row])}" for row in untagged.tolist()),
        tuple(label(row) for row in np.flatnonzero(kind == EventKind.REFUSE).tolist()),
        -exact_sum(log.column("charged_bytes", first)),
        -exact_sum(log.column("stored_bytes", first)),
    )
