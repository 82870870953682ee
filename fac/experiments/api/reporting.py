"""`fac.report`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fac import asked
from fac.experiments.api.common import LOG, allow
from fac.experiments.reporting import BACKEND, Report, of_paths, reported, require_page
from fac.experiments.results import Trained
from fac.writing import require_writable, write

RunLike = Trained | str | os.PathLike[str]


def report(
    runs: RunLike | Sequence[RunLike],
    output: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    measure: bool = True,
    backend: str = BACKEND,
    allow_code: bool = False,
) -> Report:
    """One HTML file of what runs have left behind, as `fac report` writes it.

    Args:
        runs: folders of runs and of comparisons, or folders that hold some; or trainings that were kept.
        output: where it is written; the report has it as `html`, too.
        title: by default what the specs are called.
        measure: whether networks are measured on their test data, for confusions and samples of high loss.
        backend: which measures.
        allow_code: see `train`.

    Raises:
        FacError: there is no run at all, or the file is not called as a page is, or cannot be written.
    """
    asked.of(title, str, "title", "a text")
    asked.name(backend, "backend", "reference")
    place = None if output is None else asked.path(output, "output")
    if place is not None:
        require_page(str(place))
        require_writable(place)
    allow(allow_code)
    found = reported(of_paths(runs), title=title, measure=measure, backend=backend)
    for note in found.notes:
        LOG.warning("%s", note)
    if place is not None:
        write(place, found.html.encode())
    return found
