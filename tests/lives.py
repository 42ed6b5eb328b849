"""Fixed lives of registries, to be lived again in other processes: ``python -m tests.lives DIRECTORY``.

For each profile all operations are done in an order drawn from a fixed seed, and everything is asked; the tables in
``data/`` are imported and replayed. Each registry is saved to the directory, beside the answers. What goes to stdout
is how many types each kernel was compiled for: ``{"tables.rehash": 1, ...}``, nothing where the JIT is off.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import random
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

import quotasim as qs
from quotasim import frames, kernels, workloads
from quotasim.bench.limits import gathered
from quotasim.errors import Locked
from quotasim.importers.load import engine_from_tables
from quotasim.importers.tables import read_tables
from quotasim.importers.trace_table import trace_from_tables
from quotasim.importers.traces import read_trace, write_trace
from quotasim.model.digests import DigestTable

from .programs import STEPS, Step, every_kind, references, run
from .strategies import PROFILES, START
from .trace_lines import push, sha256, write_lines

DATA = Path(__file__).parent.parent / "data"
STEP_COUNT = 120


def program_of(seed: str) -> list[Step]:
    """Return a program in which every step is taken about as often as any other."""
    # No hash of the seed is asked for: Python's own differ from process to process.
    drawn = random.Random(seed)
    names = sorted(STEPS) * (STEP_COUNT // len(STEPS))
    drawn.shuffle(names)
    return [(name, drawn.randrange(1000), drawn.randrange(1000)) for name in names]


def answers(registry: qs.Registry) -> Iterator[object]:
    """Ask everything that changes nothing."""
    yield registry.usage()
    yield registry.engine.figures()
    yield registry.recompute()
    for by in ("image", "repository", "namespace", "registry"):
        yield registry.df(by)
        yield registry.chargeback(by)
    for scope in qs.Scope:
        for basis in qs.Basis:
            if basis is not qs.Basis.STORED or scope is qs.Scope.REGISTRY:
                yield registry.basis_bytes(scope, basis)
    there = references(registry)
    some = there[:: len(there) // 5 + 1]
    yield [registry.why(reference) for reference in some]
    yield registry.exclusive_bytes(some)
    for policy in (None, qs.GcPolicy(roots="TAGS", referrers="follow", grace=1, honour_blob_links=True)):
        plan = registry.plan_gc(policy)
        yield sorted(plan.removed), sorted(plan.swept), plan.reclaimable_bytes
    for reference in some:
        try:
            yield registry.preview(delete=[reference])
        except Locked:
            yield "locked"
    for frame in ("events", "images", "blobs", "repositories"):
        yield getattr(registry, frame)().to_csv()
    yield frames.usage_series(registry.engine, every="day", by="scope").to_csv()


def live(profile: qs.RegistryProfile) -> tuple[qs.Registry, list[object]]:
    """Return a registry after its life, and what was said in it."""
    registry = qs.Registry(profile, start=START)
    every_kind(registry)
    said = run(registry, program_of(profile.name))
    # An index that is there before its child.
    child = qs.Image([qs.Blob.synthetic("late", 9)])
    listed = qs.Descriptor(child.digest, child.size, child.media_type)
    registry.push("late:list", qs.Index([listed]))
    registry.push(f"late@{child.digest}", child)
    registry.delete("late@untagged")
    registry.upload("gone", qs.Blob.synthetic("alone", 3))
    registry.delete_repository("gone")
    said += run(registry.branch("other"), program_of(f"{profile.name}, branched"))
    return registry, [*said, *answers(registry)]


def main(out: Path) -> None:
    """Live all lives and save them."""
    for name, profile in PROFILES.items():
        registry, said = live(profile)
        registry.save(out / name)
        (out / name / "answers.txt").write_text("\n".join(map(repr, said)))
    for source in ("tables", "tables-tags"):
        tables = read_tables(DATA / source)
        for untagged in ("drop", "keep"):
            registry = qs.Registry.from_engine(
                engine_from_tables(tables, PROFILES["linked-namespace"], untagged=untagged)
            )
            registry.save(out / f"{source}-{untagged}")
            (out / f"{source}-{untagged}" / "answers.txt").write_text("\n".join(map(repr, answers(registry))))
    trace = trace_from_tables(read_tables(DATA / "tables"))
    for suffix in (".jsonl.zst", ".parquet"):
        write_trace(out / f"trace{suffix}", trace)
        trace = read_trace(out / f"trace{suffix}")
    for name, profile in PROFILES.items():
        qs.replay(trace, profile=profile).save(out / f"{name}-replayed")
    # A tag of what is there no more is asked for by traces only.
    gone = {"repository": "team/app", "manifest": sha256("m")}
    lines = [push(), {"time": 1, "batch": 1, "op": "delete", **gone}]
    lines.append({"time": 2, "batch": 2, "op": "tag", "tag": "v2", **gone})
    refused = read_trace(write_lines(out / "refused.jsonl.zst", lines))
    qs.replay(refused, profile="refcount").save(out / "refused")
    # So is a deletion that a client of these kinds is told of beforehand.
    qs.replay(refused, profile="gar").save(out / "refused-tagged")
    # Every generator; one that is fitted to another's stream; and what a real history is measured like.
    for name, generator in workloads.GENERATORS.items():
        stream = generator(seed=2) if name != "hub_like" else generator(manifests=500, seed=2)
        write_trace(out / f"generated-{name}.parquet", stream)
    (out / "measures.txt").write_text(repr([vars_of(workloads.measure(one)) for one in (stream, trace)]))
    fitted = workloads.fit(stream)
    write_trace(out / "fitted.parquet", workloads.hub_like(manifests=300, calibration=fitted, removal="delete"))
    # Digests as callers may hold them: read only, with strides, none at all; and more than the first table takes.
    words = np.arange(40_000, dtype=np.uint64).reshape(-1, 4)
    words.flags.writeable = False
    for part in (words[:5], words[:0], words[::2], words):
        table = DigestTable(4)
        np.save(out / f"rows-{len(part)}.npy", np.stack([table.intern(part), table.find(part[::-1])]))
    np.save(out / "gathered.npy", gathered(np.array([1, 0, 1], np.int32), np.zeros(2, np.int32)))
    json.dump(signature_counts(), sys.stdout)


def vars_of(measures: workloads.Measures) -> dict[str, object]:
    """Return every number of what was measured."""
    values = {field.name: getattr(measures, field.name) for field in fields(measures)}
    return {name: value if isinstance(value, float) else value.tolist() for name, value in values.items()}


def signature_counts() -> dict[str, int]:
    """Return how many types each kernel was compiled for; parts of kernels, which Python cannot call, left out."""
    found = {}
    for module in pkgutil.iter_modules(kernels.__path__):
        members = vars(importlib.import_module(f"{kernels.__name__}.{module.name}"))
        for name, member in members.items():
            options = getattr(member, "targetoptions", {"no_cpython_wrapper": True})
            if not options.get("no_cpython_wrapper") and member.py_func.__module__.endswith(f".{module.name}"):
                found[f"{module.name}.{name}"] = len(member.signatures)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
