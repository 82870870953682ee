"""`fac compare`: variants of a network on the same data order and from the same initial forward weights."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.diagnostics import FacError, plain
from fac.escaping import visible
from fac.render.json_text import json_text
from fac.signals import ended_by, on_signals

if TYPE_CHECKING:
    from fac.backend import Backend, Precision
    from fac.experiments.rows import Row, Run
    from fac.experiments.variants import Variant
    from fac.program.program import Program
    from fac.source import Document
    from fac.training.dataset import Dataset
    from fac.training.loop import Report


def _listed(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """`--rules bp,fa --rules dfa` as three; what is given twice counts once, and that is said."""
    names = [name.strip() for name in ",".join(given).split(",")] if given else []
    for name, times in Counter(names).items():
        if times > 1:
            say(f"`{name}` stands {times} times in `{option.opts[0]}`: it is trained once", err=True)
    return tuple(dict.fromkeys(names))


def _ranks(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    """Those of `--rank`.

    Raises:
        BadParameter: one is no positive integer.
    """
    kind: Any = click.IntRange(1)
    return tuple(
        dict.fromkeys(kind.convert(rank, option, context) for rank in _listed(context, option, given))
    )


@click.command()
@click.argument("specs", nargs=-1, required=True)
@click.option(
    "--rules",
    multiple=True,
    callback=_listed,
    metavar="RULE,...",
    help="Short-hands that replace the feedback, such as `bp,fa,ldfa`, with their default settings; `own` is what a "
    "spec itself declares. Repeatable.",
)
@click.option(
    "--rank",
    "ranks",
    multiple=True,
    callback=_ranks,
    metavar="RANK,...",
    help="A row for each, of the low-rank rules. Default: the spec's own. Repeatable.",
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings per variant.")
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change every spec; repeatable.")
@click.option(
    "--json", "as_json", is_flag=True, help="End with one JSON object, which holds every epoch of each run."
)
@click.pass_context
def compare(
    context: click.Context,
    specs: tuple[str, ...],
    rules: tuple[str, ...],
    ranks: tuple[int, ...],
    seeds: int,
    backend: str | None,
    device: str | None,
    precision: Precision | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train variants on equal terms and print mean and standard deviation.

    Several SPECS are compared as they are. One is set beside backpropagation, feedback alignment and other rules
    on the same network. Seeds count up from that of the first spec.

    A run that diverges or fails, or Ctrl-C, does not lose the others: they are printed.

    On a busy machine small networks train fastest with OMP_NUM_THREADS=1.
    """
    from fac import source
    from fac.experiments.backends import chosen
    from fac.experiments.rows import as_json as row_as_json
    from fac.experiments.rows import remarks, runs_as_json, table
    from fac.experiments.variants import twins, variants
    from fac.pipeline import lowered

    documents = [source.override(source.read(spec), overrides) for spec in specs]
    specs_read = [lowered(document).spec for document in documents]
    stepped = [spec.train for spec in specs_read if spec.solve is None]
    planned = variants(documents, rules or None, ranks)
    with_backend = chosen(backend)
    first = specs_read[0].train.seed
    trainer = _Trainer(with_backend, device, precision, tuple(range(first, first + seeds)), probes=as_json)
    # all of them before the first training: nobody waits an hour to hear that the second row cannot be
    programs = [trainer.checked(variant) for variant in planned]
    rows = trainer.rows(planned, programs)
    made, meant = sum(len(row.runs) for row in rows), len(planned) * seeds
    notes = [*remarks(rows), *_notes(rows, {(t.batch, t.epochs) for t in stepped})]
    if len(documents) == 1 and not rules and programs[0].spec.solve is None:
        notes += _left_out(documents[0], ranks)
    named = {variant.label: program for variant, program in zip(planned, programs, strict=True)}
    notes += [f"`{one}` and `{other}` are one training under two names" for one, other in twins(named)]
    if made < meant:
        notes.append(f"interrupted: {made} of {meant} trainings were made")
    if as_json:
        found = {
            "backend": with_backend.name,
            "device": trainer.device,
            "seeds": trainer.seeds,
            "rows": [row_as_json(row) for row in rows],
            "runs": runs_as_json(rows),
            "notes": notes,
        }
        echo(json_text(found))
    else:
        echo("\n".join([table(rows), *(f" {visible(note)}" for note in notes)]))
    if made < meant:
        context.exit(ended_by())
    if any(run.problem and not run.diverged for row in rows for run in row.runs):
        context.exit(2)


class _Trainer:
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
        self.precision = precision
        self.datasets: dict[str, Dataset] = {}
        self.told: set[str] = set()

    def checked(self, variant: Variant) -> Program:
        """The program of a variant, whose data are loaded.

        Raises:
            FacError: the variant has errors, or its data cannot be loaded.
        """
        from fac.pipeline import lowered

        program = lowered(variant.seeded(self.seeds[0], self.probes))
        self._dataset(variant.document, program)
        return program

    def rows(self, variants: Sequence[Variant], programs: Sequence[Program]) -> list[Row]:
        """All seeds of all variants, or as many as there are when somebody interrupts.

        Raises:
            Exception: what the first training of all ended with: then there is nothing to keep.
            KeyboardInterrupt: before the end of the first training.
        """
        from fac.experiments.needs import by_byte, needs_of
        from fac.experiments.rows import Row
        from fac.experiments.variants import ranks_of
        from fac.program.feeds import target
        from fac.program.lower import kind_of
        from fac.training.loop import StoppedError

        found: list[Row] = []
        try:
            for variant, program in zip(variants, programs, strict=True):
                first = program.losses[0]
                classifies = kind_of("fac.losses", first.loss).classes
                row = Row(
                    variant,
                    program.spec.name,
                    ranks_of(program),
                    classifies,
                    classifies and bool(target(program, first).shape),
                    needs_of(program),
                    by_byte(program),
                )
                for seed in self.seeds:
                    label = f"{variant.label} seed {seed}"
                    run = self._run(variant.seeded(seed, self.probes), seed, label, keep=bool(found))
                    say(f"{len(found) + (not row.runs)}/{len(variants)}  {label}  {_result(run)}", err=True)
                    if not row.runs:
                        found.append(row)
                    row.runs.append(run)
        except (StoppedError, KeyboardInterrupt) as stopped:
            if not found:
                raise KeyboardInterrupt from stopped
        return found

    def _run(self, document: Document, seed: int, label: str, *, keep: bool) -> Run:
        """One training, whatever becomes of it.

        Raises:
            Exception: it failed, and `keep` says that there are no others to keep.
            StoppedError: somebody interrupts.
        """
        from fac.experiments.rows import Run
        from fac.training.loop import StoppedError
        from fac.training.nonfinite import DivergedError

        try:
            report = self._train(document, label)
        except DivergedError as error:
            return Run(seed, None, error.history, str(error), diverged=True)
        except StoppedError:
            raise
        except Exception as error:
            if not keep or os.environ.get("FAC_TRACEBACK"):
                raise
            problem = str(error) if isinstance(error, FacError) else f"{type(error).__name__}: {error}"
            return Run(seed, None, (), plain(problem))
        return Run(seed, report, report.history)

    def _train(self, document: Document, label: str) -> Report:
        from fac.cli.progress import shown
        from fac.pipeline import emit, lowered
        from fac.training.loop import train

        program = lowered(document)
        dataset = self._dataset(document, program)
        session = emit(program, self.backend, self.precision, document).open(None, self.device)
        self.device = session.device
        with shown(err=True, label=label, told=self.told) as listener, on_signals() as stop:
            return train(session, dataset, program.spec, listener=listener, stop=stop)

    def _dataset(self, document: Document, program: Program) -> Dataset:
        from fac.cli.progress import logged
        from fac.pipeline import precision_of
        from fac.training.data import declared, load

        data = declared(program.spec.data, document.name)
        precision = self.precision or precision_of(program, self.backend)
        base = Path() if document.name == "<stdin>" else Path(document.name).parent
        key = f"{base.resolve()} {precision} {data!r}"
        if key not in self.datasets:
            with logged():
                self.datasets[key] = load(data, base, precision)
        return self.datasets[key]


def _result(run: Run) -> str:
    from fac.experiments.rows import MARK

    if run.report is None:
        return f"{'diverged' if run.diverged else 'failed'}: {run.problem}"
    accuracy = run.report.test_accuracy
    result = f"test loss {run.report.test_loss:.4g}" if accuracy is None else f"acc {100 * accuracy:.1f} %"
    # What they warn of stands below the table.
    return f"{result}  ({run.report.seconds:.1f} s){f' {MARK}' * bool(run.report.concerns)}"


def _notes(rows: Sequence[Row], schedules: set[tuple[int, int]]) -> Iterator[str]:
    """What a reader of the table must know."""
    if not any(row.variant.rule == "shallow" for row in rows) and any(row.needs.fixed for row in rows):
        yield (
            "no `shallow` row: it trains the last layer alone, and rules with fixed feedback live near it; "
            "add it with `--rules`"
        )
    if len(schedules) > 1:
        yield "the specs differ in `train.batch` or `train.epochs`, so their data order is not the same"


def _left_out(document: Document, ranks: Sequence[int]) -> Iterator[str]:
    from fac.experiments.variants import left_out

    for rule in left_out(document, ranks):
        yield f"no `{rule}` row: it needs a rank, and the spec does not give one; add `--rank 10`"


COMMAND = compare
