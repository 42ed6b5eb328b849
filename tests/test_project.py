"""The project's own files: pins, commands, the note on dependencies, and what goes into the wheel."""

from __future__ import annotations

import re
import stat
import tomllib
import zipfile
from importlib.metadata import distribution

import pytest
from hatchling.builders.wheel import WheelBuilder

PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.]*(?: ; python_version [<>=]+ \"3\.[0-9]+\")?")
LINES_CEILING = 600


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def normal(requirement):
    """The package's name of a requirement, spelled as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()


def direct_dependencies(project):
    """Names of all packages that pyproject.toml names, by where it names them."""
    groups = {"core": project["project"]["dependencies"], **project["project"]["optional-dependencies"]}
    for name, members in project["dependency-groups"].items():
        groups[name] = [member for member in members if isinstance(member, str)]
    return {group: {normal(member) for member in members} for group, members in groups.items()}


def code_blocks(markdown):
    return re.findall(r"^```[a-z]*\n(.*?)^```", markdown, flags=re.M | re.S)


def test_constraints_are_exact_pins_and_nothing_else(root):
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if PIN.fullmatch(line) is None] == []
    names = [normal(line) for line in pins]
    assert len(set(names)) == len(names)


def test_everything_that_make_installs_is_pinned(root, project):
    pinned = {normal(line) for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}
    groups = direct_dependencies(project)
    build = {normal(requirement) for requirement in project["build-system"]["requires"]}
    assert groups["core"] | groups["test"] | groups["lint"] | build | {"pip"} <= pinned


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "Makefile", ".ci/run"])
def test_no_file_says_where_packages_come_from(root, name):
    text = (root / name).read_text()
    assert re.findall(r"[a-z+]+://\S+|--?(?:extra-)?index-url|--find-links|/simple\b", text) == []


def test_every_dependency_has_its_reason(root, project):
    note = (root / "docs/decisions/dependencies.md").read_text()
    explained = {normal(name) for name in re.findall(r"^\| `([^`]+)` \|", note, flags=re.M)}
    assert explained == set().union(*direct_dependencies(project).values())


def test_the_dev_group_is_test_and_lint(project):
    assert project["dependency-groups"]["dev"] == [{"include-group": "test"}, {"include-group": "lint"}]


def test_ci_runs_the_readmes_test_command(root):
    ci = root / ".ci/run"
    assert ci.stat().st_mode & stat.S_IXUSR
    lines = "\n".join(code_blocks((root / "README.md").read_text())).splitlines()
    commands = {line.split("#")[0].strip() for line in lines}  # a comment may follow a command
    assert {"make run", "make test"} <= commands
    ran = re.findall(r"^(?!#).*\bmake (?:--no-print-directory )?([a-z]+)", ci.read_text(), flags=re.M)
    assert ran[:2] == ["lint", "test"]


def test_the_wheel_has_the_types_the_licence_and_the_command(root, tmp_path):
    (wheel,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
        scripts = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {"quotasim/py.typed", "quotasim/__init__.py", "quotasim/units.py"} <= names
    assert "quotasim/workloads/distributions.csv" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"quotasim"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "quotasim = quotasim.cli.__main__:main" in scripts


def test_the_command_is_installed():
    (script,) = distribution("quotasim").entry_points.select(group="console_scripts", name="quotasim")
    assert callable(script.load())


def test_no_file_is_longer_than_the_ceiling(root):
    lengths = {
        str(path.relative_to(root)): len(path.read_text().splitlines())
        for folder in ("quotasim", "tests", "benchmarks")
        for path in (root / folder).rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > LINES_CEILING} == {}
