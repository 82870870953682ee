"""`fac report`: one HTML file of what runs have left behind, which needs no network and no script.

`facts` is what a report shows; each section is a file; `page` puts them together. All of it is a function of the facts:
no time of day, no order of a file system.
"""

from __future__ import annotations

from fac.render.report.facts import (
    MARK,
    Audit,
    Book,
    Limits,
    Measured,
    Result,
    RunFacts,
    Search,
    SearchTrial,
    Setting,
    Table,
    Worst,
)
from fac.render.report.page import render

__all__ = [
    "MARK",
    "Audit",
    "Book",
    "Limits",
    "Measured",
    "Result",
    "RunFacts",
    "Search",
    "SearchTrial",
    "Setting",
    "Table",
    "Worst",
    "render",
]
