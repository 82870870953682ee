"""The rows of `fac compare`: what became of the runs of each variant, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite, log
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

from fac.audit import said

if TYPE_CHECKING:
    from fac.audit import Measured
    from fac.experiments.needs import Needs
    from fac.experiments.variants import Variant
    from fac.training.logs import EpochRecord
    from fac.training.loop import Report

BITS = "test_bits_per_byte"
"""The loss on bytes of a text, in bits."""
METRICS = ("test_accuracy", "test_loss", "train_loss")
TIMES = ("seconds", "step_ms")
"""Wall-clock times of a run, and of an epoch."""
NEEDS = ("backward MACs vs bp", "feedback words", "weight transport")
MACS = "backward MACs"
"""Beside them, of several specs: backprop is that of each network under its own update, which has products, too."""
RATE = "learning rate"
"""Of rows that differ in it."""
MARK = "!"
"""Behind a result of runs that a line below the table says more of."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training: its report, or why there is none."""

    seed: int
    report: Report | None
    history: tuple[EpochRecord, ...]
    """The epochs that were made, those before a divergence too."""
    problem: str = ""
    diverged: bool = False
    """Whether the problem is that numbers ceased to be finite; otherwise the run could not be made."""
    audit: Measured | None = None
    """What was looked at in the trained network, if it was."""
    said: tuple[str, ...] = ()
    """Warnings of the training itself, such as that its data had changed when it went on."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of what computed as it ended, if it was kept."""

    def value(self, name: str) -> float | None:
        """A figure of the report, if it is a number."""
        if name == BITS:
            nats = self.value("test_loss")
            return None if nats is None else nats / log(2)
        found = self.each[name] if name in self.each else getattr(self.report, name, None)
        return found if found is not None and isfinite(found) else None

    @property
    def each(self) -> Mapping[str, float]:
        """Of several losses what was found of each after the epoch that is shown: `aux.loss`, `aux.accuracy`."""
        return self.report.shown.losses if self.report and self.report.history else {}

    @property
    def warned(self) -> Iterator[tuple[str, str, str]]:
        """(kind, loss that it is about, message) of why its figures are none, or hardly results."""
        if self.problem:
            yield "diverged" if self.diverged else "failed", "", self.problem
        elif self.report:
            yield from ((concern.kind, concern.of, concern.message) for concern in self.report.concerns)

    @property
    def looked(self) -> Iterator[tuple[str, str, str]]:
        """The same of the gradients of the trained network, which no figure of a table shows."""
        if self.report and not self.problem:
            yield from ((kind, "", message) for kind, message in said(self.audit))


@dataclass(slots=True)
class Row:
    """What became of one variant, over the seeds that were trained."""

    variant: Variant
    spec: str
    """Its name in the file, which several files may share."""
    ranks: tuple[int, ...]
    """What came of the rank that is asked for, route by route."""
    classifies: bool
    by_place: bool
    """Whether there is a label for each place of a sample, as for each letter of a text: then the loss tells more."""
    needs: Needs
    """What its errors need beside the network."""
    by_byte: bool = False
    """Whether the loss is what a byte of a text costs, in nats."""
    body: str = ""
    """A digest of all that its spec says beside the feedback."""
    lr: float | None = None
    """The learning rate of its update; None of one that is solved."""
    arm: bool = False
    """Whether it stands there for the audit alone: nobody has named it."""
    runs: list[Run] = field(default_factory=list)

    @property
    def each(self) -> tuple[str, ...]:
        """What there is of each of several losses, see `Run.each`."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.each))

    def values(self, name: str) -> list[float]:
        """The figures of the runs that have one."""
        return [value for run in self.runs if (value := run.value(name)) is not None]


def cells(rows: Sequence[Row], *, times: bool = True) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The comparison as a header and what stands below it.

    Args:
        rows: of the table.
        times: whether it ends with a column of wall-clock times.
    """
    # Of several losses each has columns of its own, and the first one's accuracy is that of the whole.
    accurate = any(row.classifies and not row.each for row in rows)
    metrics = [("test accuracy %", "test_accuracy")] if accurate else []
    if any(row.by_place or not row.classifies for row in rows):
        metrics.append(("test loss", "test_loss"))
    if any(row.by_byte for row in rows):
        metrics.append(("bits per byte", BITS))
    several = any(row.variant.spec for row in rows)
    each = [name for name in dict.fromkeys(name for row in rows for name in row.each) if _tells(name, rows)]
    titles = (*(title for title, _ in metrics), *map(_title, each))
    header = ("rule", "rank", *NEEDS, *titles, "ms per step")
    table = [_cells(row, [n for _, n in metrics], each) for row in rows]
    if len({row.lr for row in rows}) > 1:
        header = (*header[:2], RATE, *header[2:])
        table = [
            (*cells[:2], "–" if row.lr is None else f"{row.lr:.4g}", *cells[2:])
            for row, cells in zip(rows, table, strict=True)
        ]
    if several:
        header = ("spec", *header[:2], MACS, *header[2:])
        table = [
            (row.variant.spec, *cells[:2], _counted(row.needs.backward_macs), *cells[2:])
            for row, cells in zip(rows, table, strict=True)
        ]
    if not times:
        header, table = header[:-1], [row[:-1] for row in table]
    return header, table


def _tells(name: str, rows: Sequence[Row]) -> bool:
    """Whether it says how good a head is: the accuracy, or a loss that has none."""
    of, _, mean = name.rpartition(".")
    return mean == "accuracy" or not any(f"{of}.accuracy" in row.each for row in rows)


def _title(name: str) -> str:
    of, _, mean = name.rpartition(".")
    return f"{of} {'accuracy %' if mean == 'accuracy' else 'loss'}"


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """What is wrong with results, and what the audit says of networks: a line for each kind of trouble of a row."""
    for row in rows:
        yield from _troubles(row, MARK, ((run.seed, each) for run in row.runs for each in run.warned))
        yield from _troubles(row, "audit:", ((run.seed, each) for run in row.runs for each in run.looked))


def _troubles(row: Row, start: str, of_runs: Iterable[tuple[int, tuple[str, str, str]]]) -> Iterator[str]:
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for seed, (kind, of, message) in of_runs:
        found.setdefault((kind, of), []).append((seed, message))
    for (kind, _), cases in found.items():
        seed, message = cases[0]
        named = f"{kind}: " if kind in ("diverged", "failed") else ""
        more = ", ".join(str(seed) for seed, _ in cases[1:])
        other = ", with other numbers" if len({told for _, told in cases}) > 1 else ""
        more = f" (seed{'s' * (len(cases) > 2)} {more} likewise{other})" if more else ""
        yield f"{start} {row.variant.label}, seed {seed}: {named}{message}{more}"


def row_as_json(row: Row, *, times: bool = True) -> dict[str, Any]:
    """A row, its statistics with the value of each seed, and if asked for its `times`."""
    found: dict[str, Any] = {
        "name": row.variant.label,
        "spec": row.spec,
        "file": row.variant.document.name,
        "rule": row.variant.rule,
        "rank": row.variant.rank,
        "ranks": row.ranks,
        "lr": row.lr,
        "backward_macs": row.needs.backward_macs,
        "backward_macs_vs_backprop": row.needs.backward_ratio,
        "feedback_words": row.needs.words,
        "weight_transport": row.needs.transport,
        **({"step_ms": _median(row.values("step_ms"))} if times else {}),
        "seeds": [run.seed for run in row.runs],
        "diverged": [run.seed for run in row.runs if run.diverged],
        "failed": [run.seed for run in row.runs if run.problem and not run.diverged],
        "warned": [run.seed for run in row.runs if run.report and run.report.concerns],
    }
    for name in METRICS:
        found[name] = _statistics(row, name) if name != "test_accuracy" or row.classifies else None
    if row.by_byte:
        found[BITS] = _statistics(row, BITS)
    return found | ({"losses": {name: _statistics(row, name) for name in row.each}} if row.each else {})


def runs_as_json(rows: Sequence[Row], *, times: bool = True) -> list[dict[str, Any]]:
    """Each run: its figures, what is wrong with it, and the epochs as `metrics.jsonl` has them.

    Args:
        rows: whose runs.
        times: whether wall-clock times are among the figures.
    """
    figures = (*METRICS, *(TIMES if times else ()))
    return [
        {
            "row": index,
            "name": row.variant.label,
            "seed": run.seed,
            **{name: run.value(name) for name in figures},
            "problem": run.problem or None,
            "warnings": [concern.flat() for concern in run.report.concerns] if run.report else [],
            "audit": run.audit and {**asdict(run.audit), "said": [message for *_, message in run.looked]},
            "epochs": [
                {name: value for name, value in record.flat().items() if times or name not in TIMES}
                for record in run.history
            ],
        }
        for index, row in enumerate(rows)
        for run in row.runs
    ]


def _cells(row: Row, metrics: Sequence[str], each: Sequence[str]) -> tuple[str, ...]:
    low, high = min(row.ranks, default=0), max(row.ranks, default=0)
    rank = f"{low}–{high}" if low < high else str(high or "–")
    ratio, words = row.needs.backward_ratio, row.needs.words
    # What is solved makes no steps.
    time = None if ratio is None else _median(row.values("step_ms"))
    return (
        row.variant.name,
        rank,
        "–" if ratio is None else f"{ratio:.2f}",
        _counted(words),
        row.needs.transport,
        *(_result(row, name) if _has(row, name) else "–" for name in metrics),
        *(_result(row, name) if name in row.each else "–" for name in each),
        "–" if time is None else f"{time:.2f}",
    )


def _counted(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _has(row: Row, metric: str) -> bool:
    if metric == BITS:
        return row.by_byte
    return row.classifies if metric == "test_accuracy" else row.by_place or not row.classifies


def _result(row: Row, name: str) -> str:
    """`91.2 ± 0.4`, and over how many of how many runs if some have no number."""
    values = row.values(name)
    # A warning about one of several losses is no word on the others.
    about = ("", name.rpartition(".")[0]) if name in row.each else None
    marked = any(about is None or of in about for run in row.runs for _, of, _ in run.warned)
    if not values:
        kinds = {kind for run in row.runs for kind, _, _ in run.warned}
        return f"{'/'.join(sorted(kinds)) or '–'}{f' {MARK}' * marked}"
    scale, digits = (100, 1) if name.endswith("accuracy") else (1, 4)
    text = f"{scale * mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {scale * stdev(values):.{digits}f}"
    if len(values) < len(row.runs):
        text += f" ({len(values)} of {len(row.runs)})"
    return f"{text}{f' {MARK}' * marked}"


def _statistics(row: Row, name: str) -> dict[str, Any]:
    """Of the runs that have a number: `runs` of them. `values` has one entry for each of the row's `seeds`."""
    values = row.values(name)
    return {
        "mean": mean(values) if values else None,
        "sd": stdev(values) if len(values) > 1 else None,
        "runs": len(values),
        "of": len(row.runs),
        "seeds": [run.seed for run in row.runs],
        "values": [run.value(name) for run in row.runs],
    }


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
