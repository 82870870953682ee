"""`fac evaluate`: what a trained network does on samples, class by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.cli.runs import network
from fac.diagnostics import FacError
from fac.escaping import visible
from fac.render.columns import columns
from fac.render.json_text import json_text

if TYPE_CHECKING:
    from fac.training.evaluation import Classes, Evaluation

LISTED = 20
"""Classes up to which all are listed; of more those that are found least."""


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--data",
    "file",
    type=PATH,
    help="Samples and their targets: arrays (`.npz`, `.npy` in a folder, `.safetensors`), a table (`.csv`, `.parquet`) "
    "or a folder of images, as the training read them. Default: the data of the run.",
)
@click.option(
    "--split",
    type=click.Choice(("test", "validation", "train")),
    help="Which part of the data of the run. Default: test.",
)
@click.option(
    "--base", type=PATH, help="Where relative paths in `data:` start. Default: where the training found them."
)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: that of the training.")
@click.option(
    "--audit",
    is_flag=True,
    help="Also look at the network, on training samples or those of --data: docs/audit.md.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    run: Path,
    file: Path | None,
    split: str | None,
    base: Path | None,
    backend: str | None,
    device: str | None,
    precision: Any,
    audit: bool,
    as_json: bool,
) -> None:
    """Measure the network of RUN, the folder of a run or its state: losses, classes, calibration.

    All samples are seen as in inference. Recall is the share of a class that is found, precision the share of what is
    named so that is so.
    """
    from fac.cli.progress import logged
    from fac.experiments.audited import audited, flat, lines
    from fac.experiments.job import Where
    from fac.experiments.samples import of_file, of_run, trained_on
    from fac.program.lower import kind_of
    from fac.spec.data import places
    from fac.training.evaluation import evaluated

    if file is not None and (split is not None or base is not None):
        raise click.UsageError(
            f"`--data` names the samples: leave out `--{'base' if split is None else 'split'}`"
        )
    trained = network(run, Where(backend, device, precision))
    program = trained.program
    if base is not None and program.spec.data is not None and not places(type(program.spec.data)):
        raise FacError("the data of this run are in no file that a spec names: leave out `--base`")
    if file is not None:
        given = of_file(file, trained.program, trained.session.precision, trained.kept)
        part, of = given.split, {"data": str(file)}
        looked_at = part
        for line in (*given.told.splitlines(), trained_on(file, part, trained)):
            if line:
                say(line, err=True)
    else:
        try:
            with logged():
                dataset = of_run(program, trained.checkpoint, base, trained.session.precision)
        except FacError as error:
            raise FacError(
                f"{error}; `--data` takes samples from a file, `--base` names the folder of the spec"
            ) from error
        split = split or "test"
        if split not in dataset.splits:
            raise FacError(
                f"no samples of `{dataset.name}` are held out for validation in this run: leave out `--split`, or "
                "train with `data.validation`"
            )
        part, of = dataset.splits[split], {"data": dataset.name, "split": split}
        looked_at = dataset.train  # as a comparison and a training do, whatever is evaluated
    names = trained.kept.classes
    found = evaluated(trained.session, part, kind_of("fac.losses", program.spec.minimised[0]), names)
    about = {"spec": program.spec.name, "step": trained.checkpoint.step, "backend": trained.backend, **of}
    about |= {"state": trained.checkpoint.place.name, "remarks": trained.remarks}
    looked = audited(trained.session, program, looked_at) if audit else None
    if audit and looked is None:
        raise FacError(
            f"`{program.spec.name}` is solved, and has no gradients to look at: leave out `--audit`"
        )
    if as_json:
        echo(json_text(about | _flat(found) | ({"audit": flat(looked)} if looked else {})))
        return
    where = f"samples of `{file}`" if file is not None else f"{split} samples of `{of['data']}`"
    echo(
        visible(
            f"`{program.spec.name}` after step {trained.checkpoint.step}{trained.checkpoint.whose}, "
            f"on {found.samples:,} {where}:"
        )
    )
    echo("\n".join(_lines(found)))
    if found.classes is not None:
        echo(
            "\n".join(
                _table(found.classes, found.names, program.losses[0].of if len(program.losses) > 1 else "")
            )
        )
    if looked is not None:
        echo("\n".join(["audit:", *map(visible, lines(looked))]))


def _flat(found: Evaluation) -> dict[str, Any]:
    """As JSON has it."""
    flat: dict[str, Any] = {"samples": found.samples, "means": dict(found.means)}
    of, names = found.classes, found.names
    if of is None:
        return flat
    rows = zip(of.labels, of.named, of.right, of.recall, of.precision, strict=True)
    flat["classes"] = [
        {
            "class": label,
            **({"name": names[label]} if label < len(names) else {}),
            "labels": int(there),
            "named": int(named),
            "right": int(right),
            "recall": float(recall),
            "precision": float(precision),
        }
        for label, (there, named, right, recall, precision) in enumerate(rows)
    ]
    flat["confusion"] = None if of.confusion is None else of.confusion.tolist()
    if of.calibration is not None:
        by = of.calibration
        flat["calibration"] = {
            "error": by.error,
            "count": by.count.tolist(),
            "confidence": by.confidence.tolist(),
            "right": by.right.tolist(),
        }
    return flat


def _lines(found: Evaluation) -> Iterator[str]:
    for name, value in found.means.items():
        told = f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.6g}"
        yield visible(f"  {name} {told}")
    of = found.classes
    if of is None:
        return
    if of.calibration is not None:
        by, many = of.calibration, max(int(of.labels.sum()), 1)
        yield (
            f"  calibration error {100 * by.error:.2f} %: sure of {100 * by.confidence.sum() / many:.2f} %, "
            f"right in {100 * by.right.sum() / many:.2f} %"
        )


def _table(of: Classes, names: Sequence[str], whose: str) -> Iterator[str]:
    from fac.training.evaluation import COLUMNS

    if whose:
        yield visible(f"classes of `{whose}`, which the first loss reads:")
    there = [label for label, many in enumerate(of.labels) if many]
    shown = sorted(there, key=lambda label: of.recall[label])[:LISTED] if len(there) > LISTED else there
    if len(shown) < len(there):
        yield f"the {LISTED} of {len(there)} classes that are found least:"
    yield columns(COLUMNS, of.rows(shown, names))
    absent = len(of.labels) - len(there)
    if absent:
        yield f"  no label of {absent} of {len(of.labels)} classes"


COMMAND = evaluate
