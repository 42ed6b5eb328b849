"""The part of ``quotasim df`` that ``--split`` asks for: the charge, and its cost, split between the rows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from quotasim.accounting.chargeback import UNATTRIBUTED, Split, split_bytes, split_costs
from quotasim.accounting.price import millionths, money
from quotasim.cli.output import ColumnKind, Report, Table, header, heading
from quotasim.units import format_bytes

if TYPE_CHECKING:
    from quotasim.accounting.sharing import By
    from quotasim.registry import Registry

DAYS = 30
"""The period that a cost is for."""

SPLIT_COLUMNS: dict[str, ColumnKind] = {
    "name": "text",
    "charged_bytes": "bytes",
    "cost": "money",
    "logical_bytes": "bytes",
    "exclusive_bytes": "bytes",
    "attributed_bytes": "bytes",
}
"""Of ``rows``, by ``--split``."""


def charge_report(registry: Registry, by: By, split: Split, figures: Mapping[str, Any]) -> Report:
    """Return the report of ``df --split``.

    Parameters
    ----------
    figures : the registry's own, as ``df`` has them without ``--split``; ``charged_bytes`` is what is split.
    """
    profile = registry.profile
    charge, bill = registry.chargeback(by, days=DAYS), registry.bill(days=DAYS)
    sizes = split_bytes(charge, split)
    costs = [None] * len(charge) if bill is None else split_costs(charge, split, bill)
    rows: list[dict[str, Any]] = [
        {
            "name": row.name,
            "charged_bytes": size,
            "cost": cost,
            "logical_bytes": row.logical_bytes,
            "exclusive_bytes": row.exclusive_bytes,
            "attributed_bytes": row.attributed_bytes,
        }
        for row, size, cost in zip(charge, sizes, costs, strict=True)
    ]
    charged, total = figures["charged_bytes"], sum(sizes)
    total_cost = None if bill is None else money(sum(millionths(cost) for cost in costs if cost is not None))
    source = profile.sources.get("price") if profile.price is not None else None
    currency = None if profile.price is None else profile.price.currency
    document = {
        **header(registry),
        **figures,
        "by": by,
        "split": split,
        "total_bytes": total,
        "difference_bytes": total - charged,
        "days": DAYS,
        "currency": currency,
        "bill": _text(bill),
        "total_cost": _text(total_cost),
        "price_source": None if source is None else source.where,
        "price_read_on": None if source is None else source.read_on,
        "rows": [row | {"cost": _text(row["cost"])} for row in rows],
    }
    largest_first = sorted(rows, key=lambda row: (row["name"] == UNATTRIBUTED, -row["charged_bytes"], row["name"]))
    shown: list[dict[str, Any]] = [*largest_first, {"name": "total", "charged_bytes": total, "cost": total_cost}]
    columns: dict[str, ColumnKind] = {"name": "text", "charged_bytes": "bytes", "part": "figure"}
    if bill is not None:
        columns["cost"] = "money"
    people = [
        row | {"name": row["name"] or "the registry", "part": _part(row["charged_bytes"], charged)} for row in shown
    ]
    blocks: list[Table | str] = [
        heading(registry),
        Table(columns, people, title=f"by {by}, {split}"),
        said(split, charged, total),
    ]
    if bill is None:
        blocks.append("This registry kind has no price.")
    else:
        read = "" if source is None else f" The price: {source.where}, read on {source.read_on}."
        blocks.append(f"{DAYS} days of this charge cost {bill} {currency}.{read}")
    return Report(document, Table(SPLIT_COLUMNS, rows), blocks)


def said(split: Split, charged: int, total: int) -> str:
    """Return what the total of a split means.

    Examples
    --------
    >>> said("exclusive", 4096, 2048)
    'Charged are 4.0 KiB: this leaves 2.0 KiB of shared bytes that nobody pays for.'
    """
    meaning = {
        "attributed": "this adds up to the charge.",
        "exclusive": f"this leaves {format_bytes(charged - total)} of shared bytes that nobody pays for.",
        "logical": f"this bills {format_bytes(total - charged)} more than is charged.",
    }
    return f"Charged are {format_bytes(charged)}: {meaning[split]}"


def _part(size: int, charged: int) -> str | None:
    return f"{100 * size / charged:.1f} %" if charged else None


def _text(amount: Decimal | None) -> str | None:
    """Return an amount as JSON has it: all its places, and no number that a reader would take for a float."""
    return None if amount is None else f"{amount:f}"
