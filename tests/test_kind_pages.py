"""docs/kinds: every profile has a page and every page a profile, and its table is what the profile says."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from types import MappingProxyType

import pytest

import quotasim as qs
from quotasim.profiles import PROFILES
from quotasim.profiles.base import NOT_SOURCED

from . import kind_pages
from .kind_pages import in_words, meanings, policy, rows
from .kinds_table import by_page

PAGES = by_page()
PARTS = ["What surprises people", "Assumed, and not known", "Every field, and where it comes from"]
SOURCED = [field.name for field in fields(qs.RegistryProfile) if field.name not in NOT_SOURCED]


def test_every_profile_has_a_page_and_every_page_a_profile(root):
    assert {path.name for path in (root / "docs/kinds").iterdir()} == {f"{page}.md" for page in PAGES}
    assert [profile.name for profiles in PAGES.values() for profile in profiles] == list(PROFILES)
    assert [profile.name for profile in PAGES["acr"]] == ["acr-basic", "acr-standard", "acr-premium"]


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_a_page_is_its_profile(root, page):
    text = (root / "docs/kinds" / f"{page}.md").read_text()
    assert kind_pages.filled(text, PAGES[page]) == text, "python -m tests.kind_pages makes the tables anew"
    assert text.splitlines()[0] == kind_pages.heading(PAGES[page])
    assert re.findall(r"^## (.+)$", text, flags=re.M) == PARTS
    assert re.findall(r"^\| `(\w+)` \|", text, flags=re.M) == SOURCED


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_in_plain_words_what_its_kind_does(root, page):
    text = (root / "docs/kinds" / f"{page}.md").read_text()
    said = text[: text.index(f"## {PARTS[0]}")].split()
    assert 60 < len(said) < 250
    surprises = text[text.index(f"## {PARTS[0]}") : text.index(f"## {PARTS[1]}")]
    assert surprises.count("\n* ") >= 3


def test_every_field_is_explained_where_it_is_defined():
    said = meanings()
    assert [name for name in said if name != "sources"] == SOURCED
    assert all(meaning.text for meaning in said.values())
    assert said["untagged_after"].text == "microseconds until a manifest that lost its last tag is collected"
    assert said["untagged_after"].choices == {"None": "never"}
    assert set(said["delete_by_tag"].choices) == {"manifest", "resolve", "refuse", "tag", "last tag", "expire"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("limit", None, "none"),
        ("limit", 40 * 2**40, "40.0 TiB (43,980,465,111,040 bytes)"),
        ("scope", qs.Scope.NAMESPACE, "the namespace"),
        ("basis", qs.Basis.STORED, "STORED: on disk"),
        ("counts_config", True, "yes"),
        ("reject_at_limit", False, "no: only passing it is"),
        ("warn_at", 85, "85 % of the limit"),
        ("refusal", qs.Refusal(403, "DENIED", "too much"), "403 DENIED: too much"),
        ("refusal", qs.Refusal(None, None, "too much"), "too much"),
        ("untagged_after", None, "never"),
        ("untagged_after", 0, "at once"),
        ("untagged_after", 86_400_000_000, "1d"),
        ("review_jitter", 0, "by nothing"),
        ("collect_batch", 10, "at most 10"),
        ("most_tags_on_delete", 0, "at most 0"),
        ("most_tags_on_delete", None, "any number"),
        ("check_put_manifest", "afterwards", "`afterwards`: what is counted when the manifest has been taken in"),
        ("backfill", qs.Backfill(60_000_000, 1_000_000, 7), "begins after 1min, 7 scopes every 1s"),
        ("gc_policies", MappingProxyType({}), "none"),
    ],
)
def test_values_are_said_in_words_with_their_units(name, value, words):
    assert in_words(name, value, meanings()[name]) == words


def test_a_policy_is_said_with_what_is_not_its_default():
    assert policy(qs.GcPolicy()) == "keeps every manifest, children; no grace"
    strict = qs.GcPolicy(roots="TAGS", grace=7_200_000_000, referrers="pin", rechecks=True)
    assert policy(strict) == (
        "keeps what has a tag, children, subjects of what stays; a grace of 2h; `referrers='pin'`, `rechecks=True`"
    )


def test_tiers_that_differ_say_so_each():
    first = PROFILES["harbor"]
    table = {row[0]: row[1] for row in rows([first, replace(first, name="large", limit=2**30)])}
    assert table["`limit`"] == "in `harbor` none; in `large` 1.0 GiB (1,073,741,824 bytes)"
    assert table["`scope`"] == "the namespace"
