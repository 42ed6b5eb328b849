"""The README's first screen, its Python and its commands do what they say."""

from __future__ import annotations

import re
import shlex
import struct

import pytest

from .commands import quotasim

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.M | re.S)
IMAGE = re.compile(r"!\[(.+?)\]\((.+?)\)")


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


@pytest.fixture(scope="module")
def blocks(readme):
    return BLOCK.findall(readme)


def the_block(blocks, language):
    (block,) = [text for kind, text in blocks if kind == language]
    return block


def test_the_first_screen_has_the_commands_the_picture_and_the_python(readme):
    first = "\n".join(readme.splitlines()[:40])
    assert [first.index(part) for part in ("make run", "make test", "docs/images/demo.png", "import quotasim as qs")]


def test_the_picture_is_there_described_and_small(root, readme):
    ((description, path),) = IMAGE.findall(readme)
    content = (root / path).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(content) < 150_000
    assert struct.unpack(">II", content[16:24]) > (600, 400)
    assert len(description.split()) > 20


def test_the_python_prints_what_the_readme_shows(blocks, capsys):
    source = the_block(blocks, "python")
    statements = [line for line in source.splitlines() if line and not line.startswith("import")]
    assert len(statements) <= 10
    exec(compile(source, "README.md", "exec"), {})
    assert capsys.readouterr().out == the_block(blocks, "text")


def test_the_commands_print_what_the_readme_shows(root, blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(root / "data")
    session = re.split(r"^\$ ", the_block(blocks, "console"), flags=re.M)[1:]
    assert len(session) >= 5
    for part in session:
        command, shown = part.split("\n", 1)
        program, *arguments = shlex.split(command)
        assert program == "quotasim"
        result = quotasim(*arguments)
        assert (command, result.code, result.out, result.err) == (command, 0, shown, "")
