"""Seeded generators of what a registry is asked to do, as columns: no Python object per operation.

Each returns a :class:`quotasim.importers.trace_table.TraceTable`, which :func:`quotasim.replay` and
:func:`quotasim.importers.traces.write_trace` take. Equal arguments give equal bytes.
"""

from __future__ import annotations

from quotasim.workloads.calibration import Calibration, fit
from quotasim.workloads.distribution import Distribution
from quotasim.workloads.failures import failed_pushes
from quotasim.workloads.hub import hub_like
from quotasim.workloads.measure import Measures, ks_distance, measure
from quotasim.workloads.parameters import Hours
from quotasim.workloads.pipelines import ci
from quotasim.workloads.platforms import multi_arch
from quotasim.workloads.quota_check import one_gb
from quotasim.workloads.rebuilds import base_rebuild
from quotasim.workloads.release_lines import releases
from quotasim.workloads.report import report
from quotasim.workloads.scheduled import nightly
from quotasim.workloads.shared_builds import monorepo
from quotasim.workloads.signatures import signed

__all__ = [
    "GENERATORS",
    "Calibration",
    "Distribution",
    "Hours",
    "Measures",
    "base_rebuild",
    "ci",
    "failed_pushes",
    "fit",
    "hub_like",
    "ks_distance",
    "measure",
    "monorepo",
    "multi_arch",
    "nightly",
    "one_gb",
    "releases",
    "report",
    "signed",
]

GENERATORS = {
    generator.__name__: generator
    for generator in (
        one_gb,
        ci,
        releases,
        monorepo,
        nightly,
        base_rebuild,
        multi_arch,
        signed,
        failed_pushes,
        hub_like,
    )
}
"""Every generator by its name."""
