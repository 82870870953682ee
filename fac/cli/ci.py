"""What `fac check` learns from the machine that runs it for a repository, and writes for it."""

from __future__ import annotations

import os

from fac.diagnostics import FacError
from fac.render.findings import Report
from fac.source import Document

SUMMARY = "GITHUB_STEP_SUMMARY"
ROOM = 1_000_000
"""A little under the 1 MiB that GitHub takes of a step, all that it writes together."""

DRAWN = 2_000
"""Layers of a network that is drawn. What has more takes seconds, and GitHub draws no chart of thousands of lines."""


def write_summary(report: Report) -> None:
    """Append the run to the step summary of GitHub, if there is one.

    Raises:
        FacError: it cannot be written.
    """
    path = os.environ.get(SUMMARY)
    if not path:
        return
    from fac.render.findings.summary import markdown

    try:
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            text = markdown(report, _drawn, _address(), ROOM - file.tell())
            file.write(text and f"\n{text}")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise FacError(f"the step summary `{path}` cannot be written: {reason}") from error
    if not text:
        raise FacError(f"the step summary `{path}` is full")


def _drawn(document: Document) -> str | None:
    from fac.pipeline import SpecError, parse, resolved
    from fac.render.graph import mermaid

    spec, _ = parse(document)
    if spec is None or len(spec.layers) > DRAWN:
        return None
    try:
        program = resolved(spec, document)  # blocks are more layers than the spec writes
    except SpecError:
        return None
    return None if len(program.nodes) > DRAWN else mermaid(program)


def _address() -> str:
    """Where the checked files can be read on the web."""
    parts = [os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "SHA")]
    return f"{parts[0]}/{parts[1]}/blob/{parts[2]}" if all(parts) else ""
