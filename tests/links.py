"""Links of the documentation: what leads nowhere, and which pages nothing leads to. Nothing is fetched.

Pages are the Markdown files of the repository and the Markdown cells of its notebooks. They are read as CommonMark with
tables, so that code has no links, and headings get the anchors that GitHub gives them.
"""

from __future__ import annotations

import json
import posixpath
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

MARKDOWN = MarkdownIt("commonmark", {"store_labels": True}).enable("table")
HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
BARE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s<>)\]]+")
NO_REFERENCE = re.compile(r"\[[^\[\]]+\]\[[^\[\]]*\]")
MACHINE = re.compile(r"(?<![\w.*/-])/(?:home|root|work|opt|mnt|tmp|Users)/[\w.-]+|\b[A-Za-z]:\\\w+|file:/")
PATH = re.compile(r"[\w.-]+/(?:[\w.-]+/?)*")
STARTS = ("", "quotasim/")
"""Where a path in code may begin: pages name modules with and without the package. Other paths are of other things."""

PNG = b"\x89PNG\r\n\x1a\n"


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives the first heading of this text."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(token: Token) -> str:
    """Return what is to be read of an inline token: the words of its links too, and not its pictures."""
    spaces = {"softbreak": " ", "hardbreak": " "}
    parts = (spaces.get(child.type, "" if child.type == "image" else child.content) for child in token.children or ())
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads, or a picture lies."""

    href: str
    picture: bool = False
    alt: str = ""


@dataclass
class Page:
    """What the checks see of a page."""

    text: str
    headings: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)  # of inline code
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        memory: dict[str, object] = {}
        used: set[object] = set()
        tokens = MARKDOWN.parse(self.text, memory)
        for before, token in zip([None, *tokens], tokens, strict=False):
            if token.type == "html_block":
                self._html(token)
            if token.type == "inline":
                if before is not None and before.type == "heading_open":
                    self.headings.append(prose(token))
                self._inline(token, used)
        unused = sorted(set(memory.get("references", {})) - used)
        self.faults += [f"[{label}]: is defined and not used" for label in unused]
        self.faults += [f"[{again['label']}]: is defined twice" for again in memory.get("duplicate_refs", ())]
        self.faults += [f"{found}: is a path of one machine" for found in MACHINE.findall(self.text)]

    def _inline(self, token: Token, used: set[object]) -> None:
        inside, plain = 0, []  # plain: with a sign for code and nothing for links, as CommonMark left it over
        for child in token.children or ():
            used.add(child.meta.get("label"))
            if child.type == "link_open":
                self.links.append(Link(str(child.attrs["href"])))
            elif child.type == "image":
                self.links.append(Link(str(child.attrs["src"]), picture=True, alt=child.content))
            elif child.type == "html_inline":
                self._html(child)
            elif child.type == "code_inline":
                self.paths += [child.content] if PATH.fullmatch(child.content) else []
                plain += ["" if inside else "`"]
            elif child.type == "text" and not inside:
                plain.append(child.content)
            inside += (child.type == "link_open") - (child.type == "link_close")
        left = "".join(plain)
        self.faults += [f"{found}: is not defined" for found in NO_REFERENCE.findall(left)]
        self.faults += ["](: begins no link"] * left.count("](")
        self.links += [Link(found.rstrip(".,;:!?'\"")) for found in BARE.findall(left)]

    def _html(self, token: Token) -> None:
        if re.sub(r"<!--.*?-->", "", token.content, flags=re.S).strip():
            self.faults.append(f"{token.content.strip()}: HTML, in which links are not looked at")

    @cached_property
    def anchors(self) -> frozenset[str]:
        """The anchors of all headings: of equal ones the later get a number."""
        seen: Counter[str] = Counter()
        found = []
        for name in map(slug, self.headings):
            found.append(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        return frozenset(found)


def page_text(path: Path) -> str:
    """Return a page's Markdown: the file, or the cells of a notebook one after another."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell) for cell in cells)


def outside_fault(href: str) -> str:
    """Return what is wrong with an address outside the repository, or nothing."""
    parts = urlsplit(href)
    if parts.scheme != "https":
        return "is not https"
    if HOST.fullmatch(parts.netloc) is None or re.search(r"\s|%20", href):
        return "is no well-formed address"
    return ""


class Tree:
    """The files of a repository, and the pages among them.

    Parameters
    ----------
    root : its directory.
    files : the paths in it that belong to it, with ``/``. What else lies there is not there for others.
    """

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        self.root, self.files = root, frozenset(files)
        self.folders = {str(parent) for path in self.files for parent in Path(path).parents}
        names = sorted(path for path in self.files if path.endswith((".md", ".ipynb")))
        self.pages = {name: Page(page_text(root / name)) for name in names}

    def target(self, page: str, href: str) -> str:
        """Return the path that a relative link of a page leads to."""
        path = unquote(urlsplit(href).path)
        return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page

    def faults(self) -> list[str]:
        """Return a sentence for each thing that is wrong on a page."""
        return [f"{name}: {fault}" for name, page in self.pages.items() for fault in self._faults(name, page)]

    def _faults(self, name: str, page: Page) -> Iterator[str]:
        yield from page.faults
        everything = self.files | self.folders
        for path in page.paths:
            begins = [start for start in STARTS if start + path.partition("/")[0] in self.folders]
            if begins and not any(start + path.rstrip("/") in everything for start in begins):
                yield f"`{path}`: there is no such file"
        for link in page.links:
            wrong = self._link_fault(name, link)
            if wrong:
                yield f"{link.href or '()'}: {wrong}"

    def _link_fault(self, name: str, link: Link) -> str:
        parts = urlsplit(link.href)
        if link.picture and not link.alt.strip():
            return "the picture has no text for those who do not see it"
        if parts.scheme or parts.netloc:
            return "a picture must lie in the repository" if link.picture else outside_fault(link.href)
        if not link.href or parts.path.startswith("/"):
            return "is no relative path"
        target = self.target(name, link.href)
        if link.picture:
            return self._picture_fault(target)
        if target not in self.files | self.folders:
            return "there is no such file"
        if parts.fragment and (target not in self.pages or unquote(parts.fragment) not in self.pages[target].anchors):
            return "there is no such heading"
        return ""

    def _picture_fault(self, target: str) -> str:
        if target not in self.files:
            return "there is no such file"
        content = (self.root / target).read_bytes()
        if target.endswith(".png") and content.startswith(PNG):
            return ""
        if target.endswith(".svg"):
            try:
                is_svg = ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
            except ElementTree.ParseError:
                is_svg = False
            if is_svg:
                return ""
        return "is neither PNG nor SVG"

    def reached(self, start: str) -> set[str]:
        """Return the pages that links lead to from one page, in any number of steps. A link to a folder shows none."""
        found, waiting = {start}, [start]
        while waiting:
            name = waiting.pop()
            links = (link.href for link in self.pages[name].links if not urlsplit(link.href).scheme)
            new = {self.target(name, href) for href in links} & set(self.pages) - found
            found |= new
            waiting += new
        return found
