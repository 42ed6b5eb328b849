"""The documentation's links lead somewhere, every page is reached from README.md, and the checks of that can fail."""

from __future__ import annotations

import pytest

from .links import Page, Tree, slug
from .tools import run_tool

PIXEL = b"\x89PNG\r\n\x1a\n and more"
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
PAGES = {"README.md", "CHANGELOG.md", "docs/README.md", "docs/glossary.md", "data/README.md", "tests/README.md"}


@pytest.fixture(scope="module")
def tree(root):
    if (root / ".git").exists():
        listed = run_tool("git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z").split("\0")[:-1]
        return Tree(root, [path for path in listed if (root / path).exists()])
    # An unpacked archive: its files are what git would list.
    paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return Tree(root, [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)])


# -- this repository's pages


def test_nothing_is_wrong_with_any_link(tree):
    assert set(tree.pages) >= PAGES
    assert any(name.startswith("notebooks/") for name in tree.pages)
    assert tree.faults() == []


def test_links_and_pictures_are_found_where_they_are(tree):
    found = {name: [link.href for link in page.links] for name, page in tree.pages.items()}
    assert {"docs/images/demo.png", "docs/kinds.md", "data/README.md", "LICENSE"} <= set(found["README.md"])
    assert "https://semver.org" in found["CHANGELOG.md"]
    assert "images/story-kinds.png" in found["docs/timelines.md"]
    assert sum(map(len, found.values())) > 50


def test_every_page_of_the_documentation_is_reached_from_the_readme(tree):
    pages = {name for name in tree.pages if name.startswith("docs/")}
    assert {"docs/cli.md", "docs/decisions/dependencies.md"} <= pages
    assert sorted(pages - tree.reached("README.md")) == []


def test_the_map_of_the_documentation_has_every_page(tree):
    listed = {tree.target("docs/README.md", link.href) for link in tree.pages["docs/README.md"].links}
    assert sorted({name for name in tree.pages if name.startswith("docs/")} - listed) == ["docs/README.md"]


# -- the checks themselves


@pytest.fixture
def made(tmp_path):
    """Return a tree of made-up files, all of which belong to it unless others are named."""

    def make(contents, files=None):
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Tree(tmp_path, contents if files is None else files)

    return make


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Where a limit is looked at", "where-a-limit-is-looked-at"),
        ("1. Things, and more: all of it!", "1-things-and-more-all-of-it"),
        ("acr-basic: Azure Container Registry, Basic", "acr-basic-azure-container-registry-basic"),
        ("From 10^6 to 10^8", "from-106-to-108"),
        ("a_b  --c (d) ü", "a_b----c-d-ü"),
    ],
)
def test_an_anchor_is_what_github_makes_of_a_heading(heading, anchor):
    assert slug(heading) == anchor


def test_equal_headings_are_numbered_and_marks_are_not_read():
    page = Page("# One `two`\n\nThree\n-----\n\n## *One* two\n\n### [One](one.md) two\n\n```\n# no heading\n```\n")
    assert page.headings == ["One two", "Three", "One two", "One two"]
    assert page.anchors == {"one-two", "three", "one-two-1", "one-two-2"}


GOOD = {
    "a link": "[a](other.md)",
    "a link with a title, in angle brackets": '[a](<my file.md> "title")',
    "an escaped link": "[a](my%20file.md)",
    "a link to a folder": "[a](sub/) [b](sub)",
    "a link up": "[a](sub/../other.md)",
    "an anchor of the page": "# Here it is\n\n[a](#here-it-is)",
    "an anchor of another page": "[a](other.md#two-1)",
    "a reference": "[a][there] [there][] [there]\n\n[there]: other.md",
    "a picture": "![a dot](dot.png) ![a drawing](sub/drawing.svg)",
    "a picture in a link": "[![a dot](dot.png)](other.md)",
    "an address": "<https://example.org/a?b=c#d> [a](https://example.org) and https://example.org/e.",
    "an address as the words of a link": "[http://example.org](https://example.org)",
    "a link in a table": "| a |\n| --- |\n| [a](other.md) |",
    "code": "`[a](nowhere.md)` and `[a][b]`\n\n```\n[a](nowhere.md)\n```\n",
    "indented code": "text\n\n    [a](nowhere.md)\n",
    "a comment": "<!-- [a](nowhere.md) -->\n",
    "a file in code": "`sub/drawing.svg`, `sub/`, `inside/it.py` and `elsewhere/file.py`",
    "brackets": "int64[B], [0, 5), [1][",
}
FAULTS = {
    "no file": ("[a](nowhere.md)", "nowhere.md: there is no such file"),
    "other letters": ("[a](Other.md)", "Other.md: there is no such file"),
    "not in git": ("[a](untracked.md)", "untracked.md: there is no such file"),
    "above the repository": ("[a](../other.md)", "../other.md: there is no such file"),
    "no heading": ("# Here\n\n[a](#there)", "#there: there is no such heading"),
    "no heading elsewhere": ("[a](other.md#three)", "other.md#three: there is no such heading"),
    "too many equal headings": ("[a](other.md#two-2)", "other.md#two-2: there is no such heading"),
    "letters of an anchor": ("# Here\n\n[a](#Here)", "#Here: there is no such heading"),
    "a heading of what has none": ("[a](dot.png#top)", "dot.png#top: there is no such heading"),
    "a heading in code": ("```\n# Here\n```\n[a](#here)", "#here: there is no such heading"),
    "between the ticks of two cells": (
        "| a | b |\n| --- | --- |\n| ` | [a](nowhere.md) ` |",
        "nowhere.md: there is no such file",
    ),
    "a reference without definition": ("[a][there]", "[a][there]: is not defined"),
    "a reference of code without definition": ("[`a`][there]", "[`][there]: is not defined"),
    "a reference to nothing": ("[a][there]\n\n[there]: nowhere.md", "nowhere.md: there is no such file"),
    "an unused definition": ("text\n\n[there]: other.md", "[THERE]: is defined and not used"),
    "two definitions": ("[there]\n\n[there]: other.md\n[there]: dot.png", "[THERE]: is defined twice"),
    "a link that is none": ("[a](my file.md)", "](: begins no link"),
    "an empty link": ("[a]()", "(): is no relative path"),
    "no picture": ("![a dot](nodot.png)", "nodot.png: there is no such file"),
    "a picture without text": ("![](dot.png)", "dot.png: the picture has no text for those who do not see it"),
    "a picture of another kind": ("![text](other.md)", "other.md: is neither PNG nor SVG"),
    "a picture that is none": ("![text](broken.png)", "broken.png: is neither PNG nor SVG"),
    "a drawing that is none": ("![text](broken.svg)", "broken.svg: is neither PNG nor SVG"),
    "a drawing of something else": ("![text](page.svg)", "page.svg: is neither PNG nor SVG"),
    "a picture elsewhere": (
        "![text](https://example.org/a.png)",
        "https://example.org/a.png: a picture must lie in the repository",
    ),
    "not encrypted": ("[a](http://example.org)", "http://example.org: is not https"),
    "not encrypted and bare": ("see http://example.org.", "http://example.org: is not https"),
    "another scheme": ("<ftp://example.org>", "ftp://example.org: is not https"),
    "no host": ("[a](https:///a)", "https:///a: is no well-formed address"),
    "a host without a dot": ("[a](https://example)", "https://example: is no well-formed address"),
    "a port": ("[a](https://example.org:80/)", "https://example.org:80/: is no well-formed address"),
    "a user": ("[a](https://me@example.org/)", "https://me@example.org/: is no well-formed address"),
    "a space": ("[a](<https://example.org/a b>)", "https://example.org/a%20b: is no well-formed address"),
    "an address without scheme": ("[a](//example.org/a)", "//example.org/a: is not https"),
    "an absolute path": ("[a](/other.md)", "/other.md: is no relative path"),
    "a machine's path": ("It lies in /home/me/x.", "/home/me: is a path of one machine"),
    "a machine's path in code": ("```\ncd /opt/me\n```", "/opt/me: is a path of one machine"),
    "another machine's path": ("`C:\\data`", "C:\\data: is a path of one machine"),
    "HTML": ('<a href="nowhere.md">a</a>', '<a href="nowhere.md">: HTML, in which links are not looked at'),
    "a block of HTML": ("<p>\nx\n</p>\n", "<p>\nx\n</p>: HTML, in which links are not looked at"),
    "a file of the package that is not": ("`inside/gone.py`", "`inside/gone.py`: there is no such file"),
    "a file in code that is not": ("`sub/gone.svg`", "`sub/gone.svg`: there is no such file"),
}
OTHERS = {
    "other.md": "# One\n\n## Two\n\n## Two\n",
    "my file.md": "",
    "dot.png": PIXEL,
    "broken.png": b"GIF89a",
    "broken.svg": b"<svg",
    "page.svg": b"<html/>",
    "sub/drawing.svg": DRAWING,
    "quotasim/inside/it.py": "",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_is_right_is_no_fault(made, text):
    assert made({**OTHERS, "page.md": text}).faults() == []


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS)
def test_every_kind_of_fault_is_found(made, text, fault):
    files = [*OTHERS, "page.md"]
    found = made({**OTHERS, "page.md": text, "untracked.md": ""}, files).faults()
    assert f"page.md: {fault}" in found
    assert len(set(found)) == 1 or fault.endswith("looked at")


def test_the_cells_of_a_notebook_are_a_page(made):
    book = """{"cells": [{"cell_type": "markdown", "source": ["# One\\n", "\\n", "[a](../other.md) [b](#two)"]},
    {"cell_type": "code", "source": "[c](nowhere.md)"}, {"cell_type": "markdown", "source": "# Two\\n[d](gone.md)"}]}"""
    tree = made({**OTHERS, "notebooks/book.ipynb": book})
    assert tree.faults() == ["notebooks/book.ipynb: gone.md: there is no such file"]


def test_a_page_that_no_link_leads_to_is_not_reached(made):
    tree = made(
        {
            "README.md": "[a](docs/a.md) `[b](docs/b.md)` [folder](docs/) [out](https://example.org/docs/c.md)",
            "docs/a.md": "[d](d.md#deep)",
            "docs/b.md": "[a](a.md)",
            "docs/c.md": "",
            "docs/d.md": "# Deep\n\n[back](../README.md)",
        }
    )
    assert tree.reached("README.md") == {"README.md", "docs/a.md", "docs/d.md"}
