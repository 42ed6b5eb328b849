"""Write the distributions that `quotasim.workloads.hub_like` draws from: ``python data/fit_workloads.py REPO_INFO``.

REPO_INFO is a directory of tables, as `quotasim import tables` reads it, of docker-library/repo-info. It is read where
it lies; only quantiles are written. Images count whose listing is of schema 2: those have a media type.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from quotasim.importers.tables import read_tables
from quotasim.importers.trace_table import trace_from_tables
from quotasim.kernels import NULL
from quotasim.workloads.calibration import fit

TABLE = Path(__file__).parent.parent / "quotasim" / "workloads" / "distributions.csv"


def main() -> None:
    """Fit, and write the table into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path, help="the directory of the tables")
    parser.add_argument("-o", "--output", type=Path, default=TABLE, help="the table to write")
    given = parser.parse_args()
    trace = trace_from_tables(read_tables(given.tables))
    fit(trace, only=trace.manifests.media_type != NULL).write(given.output)


if __name__ == "__main__":
    main()
