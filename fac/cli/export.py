"""`fac export`: the network of a checkpoint as one file for inference, checked on real data before it is there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fac.cli import state_dict
from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.diagnostics import FacError
from fac.escaping import visible
from fac.render.json_text import json_text

if TYPE_CHECKING:
    from fac.backend import Array, Arrays, Exporting, Precision, Session
    from fac.program.program import Program
    from fac.training.checkpoint import Checkpoint
    from fac.training.dataset import Split

ORACLE = "reference"
"""The backend that an exported file is compared with, in float64."""
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
BOUND: dict[Precision, float] = {"float32": 1e-5, "float64": 1e-10}
"""The deviation that is taken for rounding without a question, relative to the largest output."""
RANDOM = 256
"""Inputs that stand in for data which cannot be had."""
MORE = 4.0
"""How many times as far as NumPy's own rounding a file may go beyond that: it adds in another order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the outputs of a file compare with those of the oracle."""

    samples: int
    deviation: float
    """max |file - oracle|, NaN if an output of either is."""
    largest: float
    """max |oracle|."""
    agree: int | None = None
    """Labels that count for which both predict the same class; None if the loss does not classify."""
    accuracy: float | None = None
    """Of the file, in [0, 1]; None of samples without labels."""
    expected: float | None = None
    """Accuracy of the oracle."""
    labels: int = 0
    """How many count: one for each sample, or for each place of it."""


@click.command()
@click.argument("checkpoint", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The file, such as `model.onnx`.")
@click.option(
    "--to",
    type=click.Choice(("state_dict", "peft")),
    help="Not the network but its arrays: `state_dict` as PyTorch keeps those of a module, .safetensors or .pt; `peft` "
    "those of adapters, into a folder.",
)
@click.option(
    "--device", callback=not_empty, help="On which the file is checked. Default: the backend's first."
)
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: that of the training.")
@click.option(
    "--base",
    type=PATH,
    help="Where relative paths in `data:` start. Default: where the training found them.",
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def export(
    checkpoint: Path,
    output: Path,
    to: str | None,
    device: str | None,
    precision: Precision | None,
    base: Path | None,
    as_json: bool,
) -> None:
    """Write the trained network of CHECKPOINT, the folder of a run or its state, as one file for inference.

    The file is run on the test data of the spec, or on random inputs where they cannot be had, and compared with NumPy
    in float64. It takes its place only if the outputs agree up to rounding. Adapters are merged into the weights beside
    them, and compared with the network that has them apart.

    With `--to state_dict` it is the arrays alone, by the keys of the module that `fac import` read, adapters merged
    into the weights beside them. With `--to peft` it is the adapters and what learned
    beside them, in the files of PEFT.
    """
    if to is not None:
        if any(option is not None for option in (device, precision, base)):
            raise click.UsageError("`--to` runs nothing: leave out `--device`, `--precision` and `--base`")
        write = state_dict.export if to == "state_dict" else state_dict.export_adapters
        write(checkpoint, output, as_json)
        return
    from fac.backend import STEP
    from fac.build.disabling import without
    from fac.cli.runs import trained
    from fac.experiments.ended import told
    from fac.experiments.passed import left_out
    from fac.importing.adapting import merged, unlike
    from fac.pipeline import emit, find_backend, lowered
    from fac.program.lower import without_adapters
    from fac.training.metadata import scalings
    from fac.writing import staged, unwritable

    backend = _backend(output)
    found = trained(checkpoint)
    document = found.document()
    program = without(lowered(document), left_out(found.about, backend), backend)
    precision = precision or found.precision or backend.default_precision
    shared, merges = unlike(program), len(program.adapted)
    if merges and shared is None:
        artifact = emit(without_adapters(program), backend, precision, document)
        state = {STEP: found.state[STEP]} | merged(program, found.state)
    else:
        artifact, state, merges = emit(program, backend, precision, document), found.state, 0
    oracle = emit(program, find_backend(ORACLE), "float64")
    test, missing = _samples(program, found, base, precision)
    inputs = "random inputs" if missing else "test samples"
    _require_folder(output)
    with staged(output.parent, refused=partial(unwritable, output)) as folder:
        place = folder / output.name
        exported = artifact.export(state, place, device)
        exact = oracle.open(found.state)
        outcome = compared(exported.run, exact, test)
        bound = BOUND[precision] * outcome.largest
        if bound < outcome.deviation < inf:
            with suppress(FacError):  # weights that float32 cannot hold explain nothing
                rounded = emit(program, find_backend(ORACLE), "float32").open(found.state)
                bound = max(bound, rounding(rounded, exact, test, precision))
        _require_close(outcome, bound, precision, output, inputs)
        files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    if shared is not None:
        first, second = shared
        say(f"adapters are not merged: `{first}` and `{second}` share a weight and not its adapter", err=True)
    if scaled := " and ".join(f"`{name}`" for name in scalings(found.about)):
        say(
            f"`{output}` reads {scaled} standardised: less the mean and over the deviation that the metadata "
            f"of `{found.place}` name under `scalings`",
            err=True,
        )
    figures = {
        "spec": artifact.compiled.name,
        "spec_hash": artifact.compiled.spec_hash,
        "step": found.step,
        "state": found.place.name,
        "remarks": [*told(found.place.parent)],
        "merged_adapters": merges,
        "backend": backend.name,
        "precision": precision,
        "runtime": exported.runtime,
        "inputs": "random" if missing else "test",
        "no_data": missing or None,
        "file": str(output),
        "files": [str(output.with_name(name)) for name in files],
        "samples": outcome.samples,
        "max_deviation": outcome.deviation,
        "largest_output": outcome.largest,
        "bound": bound,
        "classes_agree": outcome.agree,
        "accuracy": outcome.accuracy,
        "expected_accuracy": outcome.expected,
    }
    if as_json:
        echo(json_text(figures))
        return
    into = f", with {merges} merged adapter{'s' * (merges != 1)}" if merges else ""
    say(f"`{artifact.compiled.name}` after step {found.step}{found.whose} ({precision}){into}:")
    for name, size in files.items():
        say(f" {size:>12,} bytes  {output.with_name(name)}")
    if missing:
        say(f"checked on random inputs, because the data of the training cannot be had: {missing}")
    echo(_text(outcome, bound, exported.runtime, inputs))


def compared(run: Callable[[Arrays], Array], oracle: Session, split: Split) -> Outcome:
    """Both on the same samples, a part at a time.

    Args:
        run: from a batch to outputs [N, *output].
        oracle: of the same network.
        split: data that fit it, with or without targets.
    """
    import numpy as np

    from fac.backend.session import parts
    from fac.training.evaluation import which_count

    deviations, sizes, agree, hits, expected, counted = [], [], 0, 0, 0, 0
    term = oracle.compiled.losses[0]
    target = next(feed for feed in oracle.compiled.targets if feed.name == term.target)
    for batch in parts(split.arrays):
        z, wanted = run(batch), oracle.forward(batch)
        deviations.append(np.abs(z - wanted).max())
        sizes.append(np.abs(wanted).max())
        if target.classes is not None:
            said, right = (values.argmax(1 + term.axis) for values in (z, wanted))
            y = batch.get(target.name, right)
            kept = which_count(y, batch, term, target)
            counted += int(kept.sum())
            agree += int((said == right)[kept].sum())
            hits += int((said == y)[kept].sum())
            expected += int((right == y)[kept].sum())
    n = len(split)
    # NumPy's maximum keeps a NaN, Python's may lose it
    outcome = Outcome(n, float(np.max(deviations)), float(np.max(sizes)))
    if target.classes is None:
        return outcome
    labels = counted or 1
    if target.name not in split.arrays:
        return Outcome(n, outcome.deviation, outcome.largest, agree, labels=counted)
    return Outcome(n, outcome.deviation, outcome.largest, agree, hits / labels, expected / labels, counted)


def rounding(rounded: Session, exact: Session, split: Split, precision: Precision) -> float:
    """How far from the exact outputs rounding may take those of a file: as far as it takes NumPy's, `MORE` times.

    It grows with depth, with the terms of a sum, and where sums cancel; no multiple of the outputs knows that. It is
    measured in float32, because there is nothing to measure float64 by, and goes with the spacing of numbers.

    Args:
        rounded: of the network, in float32.
        exact: of the same network, in float64.
        split: data that fit it.
        precision: of the file.

    Returns:
        The largest deviation in the units of the outputs; 0 if float32 cannot hold them, which explains nothing.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        found = compared(rounded.forward, exact, split).deviation
    spacing = np.finfo(precision).eps / np.finfo("float32").eps
    return MORE * found * float(spacing) if isfinite(found) else 0.0


def _require_folder(output: Path) -> None:
    """Make no folder for the sake of one file, whose name may be misspelt, and replace none that may not be written."""
    from fac.writing import unwritable

    try:
        os.scandir(output.parent).close()
    except OSError as error:
        raise unwritable(output, error) from error
    if output.exists() and not stat.S_IMODE(output.stat().st_mode) & WRITABLE:
        raise FacError(f"`{output}` is read-only: `chmod u+w` it, or give another file to `-o`")


def _backend(output: Path) -> Exporting:
    """The backend that makes files of that name."""
    from fac.backend import Exporting
    from fac.pipeline import backends

    if output.is_dir():
        raise FacError(f"`{output}` is a folder: give a file to `-o`")
    able = [backend for backend in backends() if isinstance(backend, Exporting)]
    for backend in able:
        if output.suffix == backend.exports:
            return backend
    endings = " or ".join(f"`{backend.exports}`" for backend in able)
    raise FacError(f"no backend writes a file like `{output}`: give `-o` a name that ends in {endings}")


def _samples(
    program: Program, found: Checkpoint, base: Path | None, precision: Precision
) -> tuple[Split, str]:
    """The test split that the run was measured on, or random inputs and why they stand in for it.

    Raises:
        FacError: `base` was given, and the data cannot be had from there.
    """
    from fac.cli.progress import logged
    from fac.experiments.samples import of_run, random_inputs

    try:
        with logged():
            return of_run(program, found, base, precision).test, ""
    except FacError as error:
        if base is not None:
            raise
        return random_inputs(program, RANDOM, precision), str(error)


def _require_close(outcome: Outcome, bound: float, precision: Precision, output: Path, inputs: str) -> None:
    # a NaN is not within any bound
    if outcome.deviation <= bound:
        return
    other = "; `--precision float64` rounds less" if precision == "float32" else ""
    raise FacError(
        f"`{output}` is not written: on {outcome.samples} {inputs} its outputs deviate from NumPy in float64 by "
        f"up to {outcome.deviation:.2g} where they reach {outcome.largest:.3g}, and rounding in {precision} explains "
        f"at most {bound:.2g}{other}"
    )


def _text(outcome: Outcome, bound: float, runtime: str, inputs: str) -> str:
    lines = [
        f"on {outcome.samples} {inputs}, {runtime} against NumPy in float64:",
        f"  maximum deviation {outcome.deviation:.1e} where outputs reach {outcome.largest:.3g}; "
        f"{bound:.1e} is accepted",
    ]
    if outcome.agree is not None:
        accuracy = (
            f"; accuracy {100 * outcome.accuracy:.2f} %, by NumPy {100 * outcome.expected:.2f} %"
            if outcome.accuracy is not None and outcome.expected is not None
            else ""
        )
        lines.append(f"  {outcome.agree} of {outcome.labels} predicted classes agree{accuracy}")
    return "\n".join(map(visible, lines))


COMMAND = export
