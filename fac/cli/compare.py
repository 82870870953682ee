"""`fac compare`: variants of a network on the same data order and from the same initial forward weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty

if TYPE_CHECKING:
    from fac.backend import Backend, Precision
    from fac.cli.variants import Variant
    from fac.source import Document
    from fac.training.dataset import Dataset
    from fac.training.loop import Report


@dataclass(slots=True)
class Row:
    """What became of one variant, over all seeds."""

    spec: str
    file: str
    title: str
    """What the table calls the spec; empty if there is one only."""
    rule: str
    rank: str
    backward_ratio: float
    reports: list[Report] = field(default_factory=list)
    problem: str = ""
    """Why the variant has no result, if it diverged."""

    def values(self, name: str) -> list[float]:
        """One number per seed."""
        return [value for report in self.reports if (value := getattr(report, name)) is not None]


@click.command()
@click.argument("specs", nargs=-1, required=True)
@click.option(
    "--rules",
    multiple=True,
    metavar="RULE,...",
    help="Short-hands that replace the feedback, such as `bp,fa,ldfa`; `own` is what a spec itself declares. "
    "Repeatable.",
)
@click.option("--rank", type=click.IntRange(1), help="Of the low-rank rules. Default: the spec's own.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings per variant.")
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change every spec; repeatable.")
@click.option(
    "--json", "as_json", is_flag=True, help="End with one JSON object, which holds every epoch of each run."
)
def compare(
    specs: tuple[str, ...],
    rules: tuple[str, ...],
    rank: int | None,
    seeds: int,
    backend: str | None,
    device: str | None,
    precision: Precision | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train variants on equal terms and print mean ± standard deviation.

    Several SPECS are compared as they are. One is set beside backpropagation, feedback alignment and other rules
    on the same network. Seeds count up from that of the first spec.

    On a busy machine OMP_NUM_THREADS=1 can make torch many times faster.
    """
    from fac import source
    from fac.cli.backends import chosen
    from fac.cli.variants import variants
    from fac.pipeline import lowered

    documents = [source.override(source.read(spec), overrides) for spec in specs]
    trainings = [lowered(document).spec.train for document in documents]
    names = tuple(name.strip() for name in ",".join(rules).split(",")) if rules else None
    planned = variants(documents, names, rank)
    with_backend = chosen(backend)
    first = trainings[0].seed
    runs = _Runs(with_backend, device, precision, tuple(range(first, first + seeds)), probes=as_json)
    rows = [runs.row(variant, len(planned)) for variant in planned]
    notes = _notes(rows, len({(t.batch, t.epochs) for t in trainings}) > 1)
    if as_json:
        found = {
            "backend": with_backend.name,
            "device": runs.device,
            "seeds": runs.seeds,
            "rows": [_json(row) for row in rows],
            "runs": [run for i, row in enumerate(rows) for run in _histories(i, row, runs.seeds)],
            "notes": notes,
        }
        click.echo(json.dumps(found, allow_nan=False))
        return
    click.echo(table(rows))
    for note in notes:
        click.echo(f" {note}")


class _Runs:
    """Trains variants, and loads each data set once."""

    def __init__(
        self,
        backend: Backend,
        device: str | None,
        precision: Precision | None,
        seeds: tuple[int, ...],
        *,
        probes: bool,
    ) -> None:
        self.backend, self.device, self.seeds, self.probes = backend, device, seeds, probes
        self.precision = precision or backend.default_precision
        self.datasets: dict[str, Dataset] = {}
        self.rows = 0

    def row(self, variant: Variant, of: int) -> Row:
        """All seeds of a variant. If one diverges the row says so, and the comparison goes on."""
        from fac.build.costs import backward_ratio
        from fac.cli.variants import ranks
        from fac.pipeline import lowered
        from fac.training.nonfinite import DivergedError

        self.rows += 1
        program = lowered(variant.seeded(self.seeds[0]))
        own = (program.spec.name, variant.document.name, variant.spec, variant.rule)
        row = Row(*own, ranks(program), backward_ratio(program))
        try:
            for seed in self.seeds:
                label = f"{variant.label} seed {seed}"
                report = self._train(variant.seeded(seed, self.probes), label)
                row.reports.append(report)
                click.echo(f"{self.rows}/{of}  {label}  {_result(report)}", err=True)
        except DivergedError as error:
            row.problem = str(error)
            click.echo(f"{self.rows}/{of}  {label}  diverged: {error}", err=True)
        return row

    def _train(self, document: Document, label: str) -> Report:
        from fac.cli.progress import shown
        from fac.pipeline import emit, lowered
        from fac.training.loop import train

        program = lowered(document)
        dataset = self._dataset(document, program.spec.data)
        session = emit(program, self.backend, self.precision, document).open(None, self.device)
        self.device = session.device
        with shown(err=True, label=label) as listener:
            return train(session, dataset, program.spec, listener=listener)

    def _dataset(self, document: Document, data: Any) -> Dataset:
        from fac.cli.progress import logged
        from fac.training.data import declared, load

        data = declared(data, document.name)
        base = Path() if document.name == "<stdin>" else Path(document.name).parent
        key = f"{base.resolve()} {data!r}"
        if key not in self.datasets:
            with logged():
                self.datasets[key] = load(data, base, self.precision)
        return self.datasets[key]


def table(rows: Sequence[Row]) -> str:
    """The comparison as text."""
    from fac.render.columns import columns

    classifies = any(row.values("test_accuracy") for row in rows)
    metric = "test accuracy %" if classifies else "test loss"
    several = any(row.title for row in rows)
    header = ("spec",) * several + ("rule", "rank", "backward MACs vs bp", metric, "ms per step")
    return columns(header, [(row.title,) * several + _cells(row, classifies) for row in rows])


def _cells(row: Row, classifies: bool) -> tuple[str, ...]:
    values = row.values("test_accuracy" if classifies else "test_loss")
    if row.problem:
        result = "diverged"
    else:
        scale, digits = (100, 1) if classifies else (1, 4)
        result = f"{scale * mean(values):.{digits}f}" if values else "–"
        if len(values) > 1:
            result += f" ± {scale * stdev(values):.{digits}f}"
    times = row.values("step_ms")
    return row.rule, row.rank, f"{row.backward_ratio:.2f}", result, f"{median(times):.2f}" if times else "–"


def _result(report: Report) -> str:
    if report.test_accuracy is None:
        return f"test loss {report.test_loss:.4g}  ({report.seconds:.1f} s)"
    return f"acc {100 * report.test_accuracy:.1f} %  ({report.seconds:.1f} s)"


def _notes(rows: Sequence[Row], unequal: bool) -> list[str]:
    """What a reader of the table must know."""
    notes = []
    if not any(row.rule == "shallow" for row in rows):
        notes.append(
            "no `shallow` row: it trains the last layer alone, and rules with fixed feedback live near it; "
            "add it with `--rules`"
        )
    if unequal:
        notes.append(
            "the specs differ in `train.batch` or `train.epochs`, so their data order is not the same"
        )
    return notes


def _histories(index: int, row: Row, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Epoch by epoch what `metrics.jsonl` would hold, for each run of a row that did not diverge."""
    for seed, report in zip(seeds, row.reports, strict=False):
        epochs = [json.loads(record.to_json()) for record in report.history]
        yield {"row": index, "seed": seed, "epochs": epochs}


def _json(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {
        "spec": row.spec,
        "file": row.file,
        "rule": row.rule,
        "rank": None if row.rank == "–" else row.rank,
        "backward_macs_vs_backprop": row.backward_ratio,
        "step_ms": median(row.values("step_ms")) if row.reports else None,
        "problem": row.problem or None,
    }
    for name in ("test_accuracy", "test_loss", "train_loss"):
        found[name] = _statistics(row.values(name))
    return found


def _statistics(values: list[float]) -> dict[str, Any] | None:
    if not values or not all(map(isfinite, values)):
        return None
    return {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else None, "values": values}


COMMAND = compare
