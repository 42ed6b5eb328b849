"""Notebooks are stored without outputs and run from top to bottom, their cells assert their numbers, and every control
of their panels computes and draws anew. One that looks at the real history runs on the small tables, and on the real
ones where they are.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache

import nbformat
import pytest
from nbclient import NotebookClient

import quotasim as qs
from quotasim import frames
from quotasim.notebook import REAL_DATA

from . import notebook_answers
from .conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 60
"""What a notebook may take from top to bottom, its kernel's start and our cells at its end included."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def ids(path):
    return path.stem


@pytest.fixture(scope="module")
def compiled():
    """Compile the kernels that the notebooks use before a notebook's minute runs; a kernel loads them from the disk."""
    registry = qs.replay(qs.workloads.one_gb(), profile="harbor")
    registry.push("app:1", qs.Image([qs.Blob.synthetic("layer", 10)]))
    registry.preview(delete=["app:1"])
    registry.why("app:1")
    registry.exclusive_bytes(["app:1"])
    qs.compare(registry, ["ecr", "zot"])
    for kind in ("distribution-3", "gitlab", "quay"):
        notebook_answers.experiment(kind, 64, 1, untagged_too=True)
    notebook_answers.collision("distribution-3, --delete-untagged", 6)
    notebook_answers.collision("harbor", 6)
    for kind in ("harbor", "acr-premium", "gitlab"):
        notebook_answers.retention(kind, 1)
    registry.chargeback("image")
    frames.holders(registry.engine)
    qs.workloads.report(qs.workloads.hub_like(manifests=200), shares=[0.5])


@pytest.fixture(scope="module")
def executed(compiled, tmp_path_factory):
    """Return a function that runs a notebook, once, with a cell for each control at its end: the cells with outputs.
    With real data its own cells alone.
    """

    @cache
    def of(name, real_data=None):
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        notebook.cells += [
            nbformat.v4.new_code_cell(CELL.format(**asdict(control)))
            for control in CONTROLS
            if control.notebook == name and real_data is None
        ]
        directory = tmp_path_factory.mktemp(name)
        # A cell that fails does not keep the next ones from running; its output is an error.
        client = NotebookClient(
            notebook, timeout=SECONDS, allow_errors=True, resources={"metadata": {"path": str(directory)}}
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MPLBACKEND", raising=False)  # the kernel shows its pictures in the notebook
            patch.delenv(REAL_DATA, raising=False)
            if real_data is not None:
                patch.setenv(REAL_DATA, str(real_data))
            patch.setenv("PYTHONPATH", str(ROOT))
            patch.setenv("IPYTHONDIR", str(directory / "ipython"))
            asyncio.run(asyncio.wait_for(client.async_execute(), SECONDS))
        return [cell for cell in notebook.cells if cell.cell_type == "code"]

    return of


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_it_is_stored_without_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert [cell.source for cell in code if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_it_is_as_the_format_wants_it(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_it_opens_on_a_question(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.splitlines()[0].endswith("?")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_it_runs(path, executed):
    controls = sum(control.notebook == path.stem for control in CONTROLS)
    cells = executed(path.stem)
    check_outputs(cells[: len(cells) - controls])


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if "tables_directory(real=True)" in path.read_text()], ids=ids
)
def test_it_runs_on_the_real_data_too(path, executed, real_data):
    cells = executed(path.stem, real_data)
    check_outputs(cells)
    assert any("Docker official images:" in output.get("text", "") for cell in cells for output in cell.outputs)


def check_outputs(cells):
    """Nothing failed, nothing warned, and there is a picture."""
    outputs = [output for cell in cells for output in cell.outputs]
    assert ["\n".join(output.traceback) for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []  # no warnings either
    assert any("image/png" in output.get("data", {}) for output in outputs)


# -- panels


@dataclass(frozen=True, slots=True)
class Control:
    """One control of a panel, and what to set it to.

    Attributes
    ----------
    answer : an expression for what is to be shown, of the controls' ``values``, by a function of `notebook_answers`.
    figure : what is shown that must be another for each of the ``sets``.
    others : values of other controls, where those the notebook ends with would hide what this one does.
    """

    notebook: str
    panel: str
    name: str
    sets: tuple[object, ...]
    figure: str
    answer: str
    others: Mapping[str, object] = field(default_factory=dict)


EXPERIMENT = "02-the-1-gb-experiment", "panel"
SCHEDULE = "03-when-do-bytes-come-back", "schedule"
COLLISION = "03-when-do-bytes-come-back", "collision"
COST = "03-when-do-bytes-come-back", "cost"
CHARGEBACK = "04-who-pays-for-the-base-image", "panel"
REAL = "06-the-real-registry", "panel"
DEDUP = "05-dedup-on-real-bytes", "panel"

DEDUP_ANSWER = "notebook_answers.dedup(releases(values['changed_files'], values['change']), values['chunk_kib'])"

CONTROLS = (
    Control(
        *EXPERIMENT, "kind", ("zot", "distribution-3", "quay", "ecr"), "waits", "notebook_answers.experiment(**values)"
    ),
    Control(*EXPERIMENT, "layer_mib", (64, 2048), "rise_bytes", "notebook_answers.experiment(**values)"),
    Control(
        *EXPERIMENT, "hours_until_run", (1, 24), "waits", "notebook_answers.experiment(**values)", {"kind": "harbor"}
    ),
    Control(
        *EXPERIMENT, "untagged_too", (True, False), "waits", "notebook_answers.experiment(**values)", {"kind": "gar"}
    ),
    Control(
        *SCHEDULE, "engine", ("distribution-2.8", "harbor"), "most_charged_bytes", "notebook_answers.schedule(**values)"
    ),
    Control(*SCHEDULE, "every_days", (1, 5, 14), "peak_bytes", "notebook_answers.schedule(**values)"),
    Control(*COLLISION, "collector", ("harbor", "distribution-2.8"), "broken", "notebook_answers.collision(**values)"),
    Control(*COLLISION, "walked", (0, 9, 12), "broken", "notebook_answers.collision(**values)"),
    Control(*COST, "images", (1_000, 50_000), "total_us", "notebook_answers.cost(**values)"),
    Control(*COST, "workers", (1, 16), "total_us", "notebook_answers.cost(**values)"),
    Control(*COST, "cutoff_hours", (1, 3), "freed_bytes", "notebook_answers.cost(**values)"),
    Control(
        *CHARGEBACK, "kind", ("acr-standard", "ecr", "gar", "quay"), "bill", "notebook_answers.chargeback(**values)"
    ),
    Control(*CHARGEBACK, "teams", (1, 6, 12), "attributed_bytes", "notebook_answers.chargeback(**values)"),
    Control(*CHARGEBACK, "base_mib", (10, 65536), "sums", "notebook_answers.chargeback(**values)"),
    Control(*DEDUP, "changed_files", (0, 24), "unique_bytes", DEDUP_ANSWER),
    Control(*DEDUP, "change", ("rewritten", "64 bytes inserted"), "unique_bytes", DEDUP_ANSWER),
    Control(*DEDUP, "chunk_kib", (2, 64), "chunk_count", DEDUP_ANSWER),
    Control(
        *REAL, "kind", ("acr-premium", "zot", "gitlab"), "mean_stored_bytes", "notebook_answers.retention(**values)"
    ),
    Control(*REAL, "newest", (2, 3, 20), "tags", "notebook_answers.retention(**values)"),
)

CELL = """
from tests import notebook_answers

def moved(panel):
    before = {{name: control.value for name, control in panel.controls.items()}}
    for name, value in {others!r}.items():
        panel.controls[name].value = value
    pictures, figures = [], []
    for value in {sets!r}:
        panel.controls[{name!r}].value = value
        values = {{name: control.value for name, control in panel.controls.items()}}
        assert values == before | {others!r} | {{ {name!r}: value }}
        expected = {answer}
        assert {{name: panel.shown[name] for name in expected}} == expected, (value, panel.shown, expected)
        (output,) = panel.picture.outputs
        pictures.append(output["data"]["image/png"])
        figures.append(panel.shown[{figure!r}])
    for name, value in before.items():
        panel.controls[name].value = value
    return len(set(pictures)), len(set(map(str, figures)))

print(*moved({panel}))
"""


@pytest.mark.parametrize(
    "control", CONTROLS, ids=lambda control: f"{control.notebook[:2]}-{control.panel}-{control.name}"
)
def test_a_control_computes_and_draws_anew(control, executed):
    """For each value what is shown is what is computed afresh, another figure and another picture each."""
    mine = [one for one in CONTROLS if one.notebook == control.notebook]
    cell = executed(control.notebook)[mine.index(control) - len(mine)]
    said = "".join(output.get("text") or "\n".join(output.traceback) for output in cell.outputs)
    assert said == f"{len(control.sets)} {len(control.sets)}\n"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_no_control_is_left_out(path):
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    tree = ast.parse("\n".join(line for line in source.splitlines() if not line.startswith("%")))
    found = [
        (made.targets[0].id, keyword.arg)
        for made in ast.walk(tree)
        if isinstance(made, ast.Assign) and isinstance(made.value, ast.Call) and ast.unparse(made.value.func) == "Panel"
        for keyword in made.value.keywords
    ]
    assert found == [(control.panel, control.name) for control in CONTROLS if control.notebook == path.stem]
    assert source.count("Panel(") == len({panel for panel, _ in found})
