"""Pages of docs/ with parts that a module of the tests makes: tables, and how they are put in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

BEGIN, END = "<!-- made by {}: begin {} -->", "<!-- end {} -->"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def filled(page: str, maker: str, blocks: Mapping[str, str]) -> str:
    """Return a page with the parts of one maker (``tests/kinds_table.py``) made anew; each must be there once."""
    for name, text in blocks.items():
        begin, end = BEGIN.format(maker, name), END.format(name)
        assert page.count(begin) == page.count(end) == 1, name
        before, rest = page.split(begin)
        after = rest.split(end)[1]
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page
