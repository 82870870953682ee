"""The files in which a comparison gives its results: pure functions of what its folder keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fac.escaping import latex_prose, prose
from fac.experiments.contrasts import cells as contrast_cells
from fac.experiments.rows import MARK, METRICS, TIMES, cells
from fac.render.json_text import json_text
from fac.render.tables import comma_separated, latex, markdown
from fac.writing import write

if TYPE_CHECKING:
    from fac.experiments.comparison import Comparison
    from fac.experiments.kept import Kept

RESULTS = "results"
CONTRASTS, NOTES = "contrasts.tex", "notes.tex"
"""Beside the table: files that a paper takes by `\\input`, or leaves."""
TIMED = "times.json"


def write_results(kept: Kept) -> Comparison:
    """Write all of them anew, and give what they say.

    Raises:
        FacError: one cannot be written, or what lies in the place of a run is none.
    """
    found = kept.comparison()
    for name, text in files(found, kept.digest).items():
        write(kept.path / name, text.encode("utf-8", "backslashreplace"))
    return found


def files(found: Comparison, digest: str) -> Mapping[str, str]:
    """Their contents by name.

    Args:
        found: the comparison.
        digest: of its plan.
    """
    return {
        f"{RESULTS}.json": json_text({"plan": digest, **found.flat(times=False)}, indent=1) + "\n",
        f"{RESULTS}.csv": comma_separated(*_runs(found)),
        f"{RESULTS}.md": _markdown(found),
        f"{RESULTS}.tex": _latex(found),
        **({CONTRASTS: _contrasts(found)} if found.contrasts else {}),
        NOTES: _notes(found),
        TIMED: json_text(_times(found), indent=1) + "\n",
    }


def _runs(found: Comparison) -> tuple[Sequence[str], list[list[Any]]]:
    """One line for each run, as programs for statistics read them: of warnings what they are called in the docs."""
    each = [*dict.fromkeys(name for row in found.rows for name in row.each)]
    header = ("row", "spec", "rule", "rank", "seed", *METRICS, *each, "problem", "warnings")
    lines = [
        [
            row.variant.label,
            row.spec,
            row.variant.rule,
            row.variant.rank,
            run.seed,
            *(run.value(name) for name in (*METRICS, *each)),
            run.problem or None,
            " ".join(dict.fromkeys(kind for kind, *_ in (*run.warned, *run.looked))) or None,
        ]
        for row in found.rows
        for run in row.runs
    ]
    return header, lines


def _tables(found: Comparison) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    tables = [cells(found.rows, times=False)]
    return tables + ([contrast_cells(found.contrasts)] if found.contrasts else [])


def _markdown(found: Comparison) -> str:
    notes = "".join(f"- {prose(note)}\n" for note in found.notes)
    return "\n".join([*(markdown(*table) for table in _tables(found)), *([notes] if notes else [])])


def _latex(found: Comparison) -> str:
    """The table alone; what the audit has added stands below a rule."""
    header, table = cells(found.rows, times=False)
    named = [line for row, line in zip(found.rows, table, strict=True) if not row.arm]
    added = [line for row, line in zip(found.rows, table, strict=True) if row.arm]
    text = latex(header, named, added, marked="a run is warned of, diverged or failed: see the notes")
    return _headed("arms of the audit, if there are some, below the second rule", text)


def _contrasts(found: Comparison) -> str:
    return _headed("the contrasts that were declared", latex(*contrast_cells(found.contrasts)))


def _notes(found: Comparison) -> str:
    """A list of sentences, as the table needs them; nothing where nothing is to be said."""
    items = [rf"\item {latex_prose(_plain(note))}" for note in found.notes]
    lines = [r"\begin{itemize}", *items, r"\end{itemize}"] if items else []
    return "\n".join([r"% what a reader of the table must know: \input{notes.tex}", *lines, ""])


def _plain(note: str) -> str:
    """Without the mark, which stands behind the cells."""
    return note.removeprefix(f"{MARK} ")


def _headed(what: str, text: str) -> str:
    return f"% {what}; needs \\usepackage{{booktabs}}\n{text}"


def _times(found: Comparison) -> dict[str, Any]:
    """Seconds of each run, and the median milliseconds of its steps."""
    return {
        row.variant.label: {str(run.seed): {name: run.value(name) for name in TIMES} for run in row.runs}
        for row in found.rows
    }
