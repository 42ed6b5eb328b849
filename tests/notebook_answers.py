"""What the notebooks' panels must show, computed by other means than theirs; called in their kernels by
``test_notebooks.py``, with the controls' values.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pandas as pd

import quotasim as qs
from quotasim.accounting.basis import Scope
from quotasim.dedup import Chunker, Chunking
from quotasim.gc.cost import COLLECTORS, Work, estimate
from quotasim.notebook import tables_directory
from quotasim.profiles import PROFILES
from quotasim.registry import as_trace
from quotasim.workloads.quota_check import EMPTY_LAYER, random_layer_bytes

MIB = 2**20
HOUR, DAY = 3_600_000_000, 86_400_000_000


def experiment(kind, layer_mib, hours_until_run, untagged_too):
    """Look at the usage every few minutes, then hours, instead of reading the log."""
    alpine = qs.Blob.synthetic("alpine", 3_626_897)
    registry = qs.Registry(kind, start="2026-02-02T18:00")
    registry.push("alpine:3.20", qs.Image([alpine], qs.Blob.synthetic("alpine's", 1_471)))
    empty = registry.usage()
    random = qs.Blob.synthetic("a layer of the test's own", random_layer_bytes(layer_mib * MIB))
    registry.push("1gb:latest", qs.Image([alpine, random, EMPTY_LAYER], qs.Blob.synthetic("1gb's", 2_684)))
    rise = registry.usage().charged_bytes - empty.charged_bytes
    registry.advance("2d")
    deleted = registry.now
    if registry.profile.collection == "manual":
        first = pd.Timestamp(deleted + hours_until_run * HOUR, unit="us", tz="UTC")
        registry.schedule_gc("1d", first=first.isoformat())
    registry.delete("1gb:latest")
    if untagged_too:
        registry.delete("1gb@untagged")
    back = {"charged": empty.charged_bytes, "reported": empty.charged_bytes, "stored": empty.stored_bytes}
    waits = dict.fromkeys(back, pd.NaT)
    while registry.now <= deleted + 20 * DAY:
        usage = registry.usage()
        for name, size in back.items():
            if pd.isna(waits[name]) and getattr(usage, f"{name}_bytes") == size:
                waits[name] = pd.Timedelta(registry.now - deleted, "us")
        registry.advance("5min" if registry.now < deleted + HOUR else "1h")
    return {"rise_bytes": rise, "waits": waits}


def schedule(engine, every_days):
    """A few runs of the pipeline, looked at every morning when the image is pushed, and after every run."""
    base, own, config, manifest = 160 * MIB, 40 * MIB, 30_720, 2_048
    registry = qs.Registry(engine.split(",")[0], start="2026-03-02T09:00")
    policy = "delete-untagged" if "untagged" in engine else "default"
    registry.schedule_gc(f"{every_days}d", first="2026-03-03T02:00", policy=policy)
    stored, charged = [], []
    for day in range(9 + 3 * every_days):
        layers = [qs.Blob.synthetic("base", base), qs.Blob.synthetic(f"own {day}", own)]
        digest = qs.Blob.synthetic(f"manifest {day}", manifest).digest
        config_blob = qs.Blob.synthetic(f"config {day}", config)
        registry.push(f"ci/app:{day}", qs.Image(layers, config_blob, digest=digest, size=manifest))
        if day >= 7:
            registry.delete(f"ci/app:{day - 7}")
        stored.append(registry.usage().stored_bytes)
        charged.append(registry.usage().charged_bytes)
        registry.advance("1d")
    live = base + 7 * (own + config + manifest)
    return {"peak_bytes": max(stored) - live, "most_charged_bytes": max(charged)}


def collision(collector, walked):
    """The same on small layers of other names."""
    registry = qs.Registry(collector.split(",")[0], start="2026-03-02T09:00")
    base, names = qs.Blob.synthetic("base", 100), [f"team/app-{number:02}" for number in range(12)]
    old = {name: qs.Blob.synthetic(f"old {name}", 10) for name in names}
    for name in names:
        registry.push(f"{name}:v1", qs.Image([base, qs.Blob.synthetic(f"own {name}", 10)]))
        registry.push(f"{name}:v0", qs.Image([base, old[name]]))
    registry.delete(*[f"{name}:v0" for name in names])
    registry.advance("1d")
    policy = "delete-untagged" if "untagged" in collector else None
    marking = registry.start_marking(policy, read_only="read only" in collector)
    if walked:
        marking.walk(walked)
    run = marking.sweep() if walked == len(names) else None
    new = qs.Blob.synthetic("new", 10)
    accepted = [registry.push(f"{name}:v2", qs.Image([base, old[name], new])).accepted for name in names]
    (marking.sweep() if run is None else run).finish()
    broken = {damage.repository for damage in registry.damage()}
    assert all(damage.tags == ("v2",) for damage in registry.damage())
    return {
        "broken": len(broken),
        "refused": accepted.count(False),
        "whole": sum(taken and name not in broken for name, taken in zip(names, accepted, strict=True)),
    }


def cost(images, workers, cutoff_hours):
    """The model asked anew."""
    gone, each = images // 5, 40 * MIB + 30_720 + 2_048
    work = Work.of_counts(
        stored_blobs=4 * images,
        linked_manifests=images,
        blob_links=3 * images,
        manifests=gone,
        tags_each=100,
        blobs=4 * gone,
        total_bytes=gone * each,
    )
    runs = {
        kind: estimate(work, replace(COLLECTORS[kind], mark_workers=workers, sweep_workers=workers))
        for kind in ("distribution-2.8", "distribution-3", "harbor", "zot", "acr-premium")
    }
    return {
        "total_us": {kind: run.total for kind, run in runs.items()},
        "freed_bytes": {kind: run.after(cutoff_hours * HOUR).freed_bytes for kind, run in runs.items()},
    }


def dedup(paths, chunk_kib):
    """What lies in the layers, by plain dicts of what Python's tarfile reads."""
    average = chunk_kib * 1024
    chunking = Chunking(minimum=max(average // 4, 64), average=average, maximum=4 * average)
    layers, files, chunks = {}, {}, {}
    for path in set(paths):
        layers[hashlib.sha256(path.read_bytes()).digest()] = path.stat().st_size
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member).read()
                files[hashlib.sha256(content).digest()] = content
    for content in files.values():
        start, lengths = 0, []
        chunker = Chunker(chunking, lambda _, cut, lengths=lengths: lengths.extend(cut))
        chunker.feed(content)
        chunker.finish()
        for length in lengths:
            chunks[hashlib.sha256(content[start : start + length]).digest()] = length
            start += length
    return {
        "pushed_bytes": sum(path.stat().st_size for path in paths),
        "unique_bytes": {
            "layer": sum(layers.values()),
            "file": sum(map(len, files.values())),
            "chunk": sum(chunks.values()),
        },
        "chunk_count": len(chunks),
    }


def chargeback(kind, teams, base_mib):
    """Worked out on paper: what a team alone has, and its part of the base where the kind counts that once."""
    profile, base = PROFILES[kind], base_mib * MIB
    each = 30_720 * profile.counts_config + 2_048 * profile.counts_manifests
    own = {"platform": each} | {f"team-{team:02}": 20 * team * MIB + each for team in range(1, teams + 1)}
    once = profile.scope is Scope.REGISTRY
    whole, rest = divmod(base, teams + 1)
    parts = {name: size + (whole + (place < rest) if once else base) for place, (name, size) in enumerate(own.items())}
    logical, charged = sum(own.values()) + base * (teams + 1), sum(parts.values())
    bill = None
    if profile.price is not None:
        price = profile.price
        above = Fraction(max(0, charged - price.included_bytes), price.unit_bytes)
        exact = 30 * (above * Fraction(price.amount) / price.unit_days + Fraction(price.fee_per_day))
        bill = Decimal(round(exact * 10**6)) / 10**6
    return {
        "attributed_bytes": parts,
        "charged_bytes": charged,
        "sums": {
            "logical": logical,
            "exclusive": sum(own.values()) if once else logical,
            "attributed": charged,
        },
        "bill": bill,
    }


def retention(kind, newest):
    """Week by week by hand: a piece of the small history, the policy, and the collector where it has to be started."""
    trace = as_trace(tables_directory())
    begin, end, week = int(trace.time[0]), int(trace.time[-1]), 7 * DAY
    registry = qs.Registry(kind, start=pd.Timestamp(begin, unit="us", tz="UTC").isoformat())
    rows = ("time", "batch", "op", "repository", "tag", "platform", "manifest", "previous", "blob", "upload", "amount")
    since = begin - 1
    for at in [*range(begin + week, end + 1, week), end]:
        piece = (trace.time > since) & (trace.time <= at)
        if piece.any():
            registry.replay(replace(trace, **{name: getattr(trace, name)[piece] for name in rows}))
        registry.advance(to=pd.Timestamp(at, unit="us", tz="UTC").isoformat())
        if (at - begin) % week == 0:
            registry.retain(qs.RetentionPolicy([qs.KeepNewest(newest)]))
            if registry.profile.collection == "manual":
                registry.apply(registry.plan_gc())
        since = at
    usage = registry.usage()
    tags = int(registry.repositories()["tag_count"].sum())
    return {"stored_bytes": usage.stored_bytes, "charged_bytes": usage.charged_bytes, "tags": tags}
