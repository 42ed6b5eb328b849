"""The oracle: a registry made of sets and dicts, written from docs/semantics.md alone.

It shares no code with the engine and imports nothing of it. It keeps no counters: every figure is counted
from scratch each time it is asked for, in Python integers, so that it is slow and easy to believe. The tests
hold the engine against it; `test_oracle.py` holds it against numbers worked out by hand.
"""

from .charge import NOBODY, charge_rows
from .content import Blob, GcRules, Manifest, Rules, image, index, namespace_of
from .marking import CollectionAborted, GcPlan, Marking
from .registry import Locked, NotThere, Refused
from .requests import NotRestorable, OracleRegistry
from .retention import Decision, KeepRule, decide, retain
from .rows import Row, exclusive_bytes, exclusive_rest, rows
from .runs import Run
from .timeline import changes, run_out, stays

__all__ = [
    "NOBODY",
    "Blob",
    "CollectionAborted",
    "Decision",
    "GcPlan",
    "GcRules",
    "KeepRule",
    "Locked",
    "Manifest",
    "Marking",
    "NotRestorable",
    "NotThere",
    "OracleRegistry",
    "Refused",
    "Row",
    "Rules",
    "Run",
    "changes",
    "charge_rows",
    "decide",
    "exclusive_bytes",
    "exclusive_rest",
    "image",
    "index",
    "namespace_of",
    "retain",
    "rows",
    "run_out",
    "stays",
]
