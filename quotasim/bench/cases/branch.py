"""A branch of a full registry, the first change after it, which copies the columns that it writes, and a what-if.

The registry is the engine after the replay: its links, blobs, ledger and log. Branching shares all of it; the first
write pays for what branching saved, and is measured for that reason.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from quotasim.bench import subjects
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.cases import replay
from quotasim.bench.workload import workload_of
from quotasim.engine import Engine, Outcome, operations
from quotasim.kernels import layout
from quotasim.model.totals import exact_sum
from quotasim.registry import Registry
from quotasim.units import format_time
from quotasim.whatif import Runs, compare, run_scenarios

if TYPE_CHECKING:
    from pandas import DataFrame

DAY = 86_400_000_000


@lru_cache(maxsize=1)
def replayed(references: int) -> Engine:
    """The engine after a replay; the last one is kept."""
    replay.compiled()
    workload = workload_of(references)
    engine = subjects.new_engine(workload, subjects.load_content(workload), int(workload.limit[0]))
    subjects.replay(engine, workload)
    return engine


def delete(engine: Engine, link: int) -> Outcome:
    """Delete one link of an engine."""
    return engine.apply(
        operations(np.array([layout.OP_DELETE], np.uint8), np.array([engine.state.now]), link=np.array([link]))
    )


def delete_in_branch(engine: Engine, link: int) -> Engine:
    """Branch, and delete one link in the branch."""
    branched = engine.branch()
    delete(branched, link)
    return branched


def branch(references: int) -> Prepared:
    """Branch alone."""
    workload, engine = workload_of(references), replayed(references)

    def right(branched: Engine) -> bool:
        shared = np.shares_memory(branched.state.read("holders"), engine.state.read("holders"))
        same = np.array_equal(branched.log.column("time"), engine.log.column("time"))
        return branched.figures() == engine.figures() and bool(shared) and same

    ours = Contender(name="quotasim", role="ours", run=Engine.branch, setup=lambda: (engine,), check=right, rounds=200)
    shared = engine.state.nbytes + engine.ledger.nbytes + engine.log.nbytes
    return Prepared(items=1, figures=workload.sizes() | {"shared_bytes": shared}, contenders=(ours,))


def first_change(references: int) -> Prepared:
    """Branch, and delete one image."""
    workload, engine = workload_of(references), replayed(references)
    link = int(np.flatnonzero(engine.state.read("linked"))[0])
    before, events = engine.figures(), len(engine.log)
    freed = int(engine.content.graph().logical[int(engine.names.links.second[link])])

    def right(branched: Engine) -> bool:
        after = branched.figures()
        return (
            after["links"] == before["links"] - 1
            and after["logical_bytes"] == before["logical_bytes"] - freed
            and after == branched.recompute()
            and (engine.figures(), len(engine.log)) == (before, events)
        )

    ours = Contender(
        name="quotasim", role="ours", run=delete_in_branch, setup=lambda: (engine, link), check=right, rounds=7
    )
    return Prepared(items=1, figures=workload.sizes(), contenders=(ours,))


def next_change(references: int) -> Prepared:
    """Delete one image in a branch that has been written to."""
    workload, engine = workload_of(references), replayed(references)
    linked = np.flatnonzero(engine.state.read("linked"))
    branched = delete_in_branch(engine, int(linked[0]))
    gone = [int(linked[0])]

    def setup() -> tuple[Engine, int]:
        gone.append(int(linked[len(gone)]))
        return branched, gone[-1]

    def right(_: Outcome) -> bool:
        after = branched.figures()
        return after["links"] == engine.figures()["links"] - len(gone) and after == branched.recompute()

    ours = Contender(name="quotasim", role="ours", run=delete, setup=setup, check=right, rounds=20)
    return Prepared(items=1, figures=workload.sizes(), contenders=(ours,))


def what_if(references: int) -> Prepared:
    """Branch twice, delete in one of them a thousandth of the images, let a day pass in both, and compare."""
    workload, engine = workload_of(references), replayed(references)
    linked = np.flatnonzero(engine.state.read("linked"))
    gone = linked[::1_000]
    base = Registry.from_engine(engine)
    logical = exact_sum(engine.content.graph().logical[engine.names.links.second[gone]])
    before, events = engine.figures(), len(engine.log)

    def delete_them(branched: Registry) -> None:
        count = gone.size
        ops = operations(np.full(count, layout.OP_DELETE, np.uint8), np.full(count, branched.now), link=gone)
        branched.engine.apply(ops)

    def changed_and_compared() -> tuple[Runs, DataFrame]:
        runs = run_scenarios(base, {"without": delete_them}, until=format_time(base.now + DAY))
        return runs, compare(runs)

    def right(found: tuple[Runs, DataFrame]) -> bool:
        runs, table = found
        changed = runs.registries["without"].engine
        said = table[table["scenario"] == "without"].set_index("figure")["difference"]
        after = changed.figures()
        return (
            after["links"] == before["links"] - gone.size
            and int(said["charged_bytes"]) == after["charged_bytes"] - before["charged_bytes"]
            and int(said["logical_bytes"]) == -logical
            and after == changed.recompute()
            and (engine.figures(), len(engine.log)) == (before, events)
        )

    ours = Contender(name="quotasim", role="ours", run=changed_and_compared, setup=tuple, check=right, rounds=5)
    return Prepared(items=1, figures=workload.sizes() | {"deleted": int(gone.size)}, contenders=(ours,))


CASES = (
    Case(name="branch", suite="branch", title="branch a full registry", unit="branches", prepare=branch),
    Case(
        name="branch-first-change",
        suite="branch",
        title="branch, and delete an image",
        unit="branches",
        prepare=first_change,
    ),
    Case(
        name="branch-next-change",
        suite="branch",
        title="delete another image in a branch",
        unit="deletions",
        prepare=next_change,
    ),
    Case(
        name="branch-what-if",
        suite="branch",
        title="branch a full registry, change it and compare",
        unit="comparisons",
        prepare=what_if,
    ),
)
