"""The table of every page of docs/kinds, made from its profile: ``python -m tests.kind_pages`` makes all anew."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import quotasim as qs
from quotasim.accounting.quota import Refusal
from quotasim.profiles.base import NOT_SOURCED

from . import pages
from .kinds_table import BASES, EVIDENCE, by_page, by_tier, duration, evidence, in_common, keeps, names, price
from .pages import table

FOLDER = Path(__file__).parent.parent / "docs" / "kinds"
ATTRIBUTE = re.compile(r"^([a-z_]+(?:, [a-z_]+)*) : (.+?)(?=^\S|\Z)", flags=re.M | re.S)
CHOICE = re.compile(r"(``\"[^\"]+\"``|\bTrue|\bFalse|\bNone|\b0): ([^;.]+)")
SIZES = ("limit", "included")
UNITS = {"warn_at": "{} % of the limit", "collect_batch": "at most {}", "most_tags_on_delete": "at most {}"}
IN_MICROSECONDS = "microseconds "


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the docstring of a profile says of a field.

    Attributes
    ----------
    text : what it is about.
    choices : what single values mean, by the value as text.
    """

    text: str
    choices: Mapping[str, str]


def meanings() -> dict[str, Meaning]:
    """Return what every field means: the docstring of RegistryProfile, which is where it is said."""
    found = {}
    for listed, said in ATTRIBUTE.findall(inspect.cleandoc(qs.RegistryProfile.__doc__ or "")):
        text = " ".join(said.split())
        choices = {key.strip('`"'): words.replace("``", "`") for key, words in CHOICE.findall(text)}
        begins = CHOICE.search(text)
        head = (text[: begins.start()] if begins else text).rstrip("; .:").replace("``", "`")
        found |= dict.fromkeys(listed.split(", "), Meaning(head, choices))
    return found


def policy(value: qs.GcPolicy) -> str:
    """Return a policy in words, with its parameters where they are not the default."""
    default = qs.GcPolicy()
    rest = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in ("roots", "grace")}
    others = [f"`{name}={one!r}`" for name, one in rest.items() if one != getattr(default, name)]
    grace = f"a grace of {duration(value.grace)}" if value.grace else "no grace"
    return "; ".join([f"keeps {keeps(value)}", grace, *([", ".join(others)] if others else [])])


def in_words(name: str, value: object, meaning: Meaning) -> str:
    """Return a field's value for people, with its unit, and what it means where the docstring says that."""
    match value:
        case qs.Scope():
            return f"the {value.name.lower()}"
        case qs.Basis():
            return f"{value.name}: {BASES[value.name]}"
        case Refusal():
            return str(value)
        case qs.Price():
            return price(value)
        case qs.Backfill():
            return f"begins after {duration(value.delay)}, {value.batch} scopes every {duration(value.every)}"
        case qs.GcPolicy():
            return policy(value)
        case Mapping():
            return "; ".join(f"`{key}`: {policy(one)}" for key, one in value.items()) or "none"
    words = meaning.choices.get(str(value))
    if value is None:
        return words or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return words or number(name, value, meaning)
    shown = f"`{value}`" if isinstance(value, str) else "yes" if value else "no"
    return f"{shown}: {words}" if words else shown


def number(name: str, value: int, meaning: Meaning) -> str:
    """Return a number with its unit."""
    if name in SIZES:
        return f"{qs.format_bytes(value)} ({value:,} bytes)"
    return duration(value) if meaning.text.startswith(IN_MICROSECONDS) else UNITS[name].format(value)


def rows(profiles: list[qs.RegistryProfile]) -> list[tuple[str, ...]]:
    """Return a row for every field; where tiers differ in it, what is said of each."""
    said, found = meanings(), []
    for name in (field.name for field in fields(qs.RegistryProfile) if field.name not in NOT_SOURCED):

        def value(profile: qs.RegistryProfile, name: str = name) -> str:
            return in_words(name, getattr(profile, name), said[name])

        def source(profile: qs.RegistryProfile, name: str = name) -> tuple[str, ...]:
            given = profile.sources[name]
            where = f"<{given.where}>" if given.where.startswith("https://") else given.where
            return given.note, EVIDENCE[given.evidence], where, given.read_on

        meaning = re.sub(f"^{IN_MICROSECONDS}", "time ", said[name].text).replace(", or None", "")
        sources = [by_tier(profiles, lambda profile, at=at: source(profile)[at]) for at in range(4)]
        found.append((f"`{name}`", by_tier(profiles, value), meaning, *sources))
    return found


def blocks(profiles: list[qs.RegistryProfile]) -> dict[str, str]:
    """Return the generated parts of a page, by their names."""
    head = ("field", "value", "what the field is", "what the source says", "evidence", "source", "read on")
    return {"fields": f"{names(profiles)}. Fields by evidence: {evidence(profiles)}.\n\n{table(head, rows(profiles))}"}


def heading(profiles: list[qs.RegistryProfile]) -> str:
    """Return the first line of a page."""
    return f"# {in_common(profile.title for profile in profiles)}"


def filled(page: str, profiles: list[qs.RegistryProfile]) -> str:
    """Return a page with its generated parts made anew."""
    return pages.filled(page, "tests/kind_pages.py", blocks(profiles))


if __name__ == "__main__":
    for page_name, kinds in by_page().items():
        path = FOLDER / f"{page_name}.md"
        path.write_text(filled(path.read_text(), kinds))
