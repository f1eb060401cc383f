"""Read a price list, and write it into the database."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from dtws_sio import EventError

from bars.models import Product

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dtws_sio.progress import Bar

COLUMNS: Final = ("sku", "name", "price")
TEXT: Final[dict[str, Any]] = {"encoding": "utf-8-sig", "errors": "replace", "newline": ""}
"""How a price list is opened: whatever ends its lines."""
BATCH: Final = 200
"""Rows that are written in one statement; then the bar moves, a cancel is heeded and others get their turn."""
MAX_REJECTED: Final = 100
"""A file with more bad rows than this is not a price list."""


class BadFileError(EventError):
    """A file that cannot be imported. The bar and the answer say why."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="bad_file")


@dataclass
class Report:
    """What became of the rows of a file."""

    imported: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def as_event(self) -> dict[str, Any]:
        """Return what the page gets."""
        return {"imported": self.imported, "rejected": self.rejected}


def count_rows(path: Path) -> int:
    """Count the lines below the heading, which takes a moment where parsing them would take long."""
    with path.open(**TEXT) as file:
        return max(0, sum(1 for _ in file) - 1)


def import_products(path: Path, bar: Bar) -> Report:
    """
    Write the rows of a file into the database, those that are there already anew.

    Args:
        path: A CSV file with the columns sku, name and price.
        bar: Shows how far this is; its range is the number of rows. Each batch is committed: what was written before a
            cancel or an error stays.

    Raises:
        BadFileError: If a column is missing, or too many rows are wrong.
        Cancelled: If somebody cancelled the bar.
    """
    report = Report()
    with path.open(**TEXT) as file:
        for number, rows in batches(csv.DictReader(file)):
            bar.check()
            write(products(number, rows, report), report)
            bar.tick(f"Row {number + len(rows) - 1:,}", steps=len(rows))
    return report


def batches(reader: csv.DictReader[str]) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """
    Give the rows in pieces, each with the number of its first row.

    Raises:
        BadFileError: If a column is missing, or a line cannot be read.
    """
    first, rows = 1, []
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise BadFileError(f"The file has no column “{missing[0]}”.")
        for row in reader:
            rows.append(row)
            if len(rows) == BATCH:
                yield first, rows
                first, rows = first + BATCH, []
    except csv.Error as error:
        raise BadFileError(f"The file cannot be read after line {reader.line_num:,}: {error}.") from error
    if rows:
        yield first, rows


def products(first: int, rows: list[dict[str, str]], report: Report) -> Iterator[Product]:
    """
    Give the products of some rows; those that are wrong go into the report.

    Raises:
        BadFileError: If there are too many of those.
    """
    for number, row in enumerate(rows, first):
        product = Product(**{name: (row[name] or "").strip() for name in COLUMNS})
        try:
            product.clean_fields()
        except ValidationError as error:
            report.rejected.append({"row": number, "errors": error.message_dict})
        else:
            yield product
        if len(report.rejected) > MAX_REJECTED:
            raise BadFileError(f"More than {MAX_REJECTED} rows are wrong; the last one is row {number:,}.")


def write(found: Iterable[Product], report: Report) -> None:
    """Write products, the last one where several have the same number, and count them."""
    by_sku = {product.sku: product for product in found}
    Product.objects.bulk_create(
        by_sku.values(), update_conflicts=True, unique_fields=["sku"], update_fields=["name", "price"]
    )
    report.imported += len(by_sku)
