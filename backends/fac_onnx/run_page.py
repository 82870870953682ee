"""Source of `run.py`: the training of one spec on one page, with onnxruntime and NumPy alone."""

from __future__ import annotations

import json
from math import prod

from fac.backend import Compiled, Feed, HostTask, Term, docstring
from fac.diagnostics import FacError
from fac_onnx.run_text import PAGE, SVD


def run_page(compiled: Compiled, precision: str) -> str:
    """The whole program.

    Args:
        compiled: says what is trained, and how.
        precision: of the models that it runs.

    Raises:
        FacError: something that happens between steps has no form in NumPy here.
    """
    c, recipe = compiled, compiled.recipe
    tasks = between(c.tasks)
    read = {value.name for value in c.step.inputs}
    return PAGE.substitute(
        title=docstring(c.name),
        version=c.version,
        spec_hash=c.spec_hash,
        precision=precision,
        held=_held(c.feeds),
        rows="\n".join(map(_row, c.feeds)),
        names=" and ".join(f"`{feed.name}`" for feed in c.feeds),
        batch=recipe.batch,
        seed=recipe.seed,
        factor="\n".join(f"    {line}" for line in recipe.factor),
        losses=", ".join(_loss(term, c) for term in c.losses)
        if len(c.losses) == 1
        else "".join(f"\n    {_loss(term, c)}," for term in c.losses) + "\n",
        each=_each(c),
        svd=SVD if tasks else "",
        epochs=recipe.epochs,
        lr=c.lr,
        feeds="\n".join(
            f'        binding.bind_cpu_input("{k}", {v})' for k, v in SCALARS.items() if k in read
        ),
        between=tasks,
    )


def between(tasks: tuple[HostTask, ...]) -> str:
    """What the core does between the steps of a session, as lines of the loop.

    Raises:
        FacError: a task that has no form here, so that a written folder would leave it out.
    """
    due: dict[int, list[str]] = {}
    for task in tasks:
        if task.kind != "svd":
            raise FacError(f"the onnx backend cannot write what `{task.kind}` does between steps")
        names = ", ".join(json.dumps(name) for name in (*task.reads, *task.writes))
        axis = f", axis={task.axis}" if task.axis else ""
        due.setdefault(task.every, []).append(f"            set_svd_pair(here, {names}{axis})\n")
    return "".join(f"        if (step + 1) % {every} == 0:\n{''.join(lines)}" for every, lines in due.items())


def _held(feeds: tuple[Feed, ...]) -> str:
    """All arrays of a batch; many have a line each."""
    said = [f"{feed.name} {_said(feed)}" for feed in feeds]
    return f" {' and '.join(said)}" if len(said) < 3 else "".join(f"\n    {one}" for one in said)


def _said(feed: Feed) -> str:
    """One array of a batch, for who reads the page."""
    shape = f"[{', '.join(map(str, ('N', *feed.shape)))}]"
    also = "" if feed.ignored is None else f", or {feed.ignored}, which does not count"
    if feed.mask:
        return f"{shape}, 1 for what counts and 0 for what does not"
    if feed.within is not None:
        return "{}, from {:g} to {:g}".format(shape, *feed.within)
    return shape if feed.classes is None else f"{shape}, whole numbers from 0 to {feed.classes - 1}{also}"


def _row(feed: Feed) -> str:
    """The same, for the program."""
    kind, bounds = ("FLOAT", feed.within) if feed.classes is None else ("np.int64", (0, feed.classes - 1))
    if feed.mask:
        kind, bounds = "bool", (0, 1)
    return f"    {json.dumps(feed.name)}: ({feed.shape!r}, {kind}, {bounds!r}, {feed.ignored!r}),"


def _each(compiled: Compiled) -> str:
    """What is shown beside the sum of all losses, as lines of the program."""
    rated = any(term.of("hits") in dict(compiled.evaluate.outputs) for term in compiled.losses)
    lines = []
    if len(compiled.losses) > 1:
        lines.append('        shown["test " + of.replace(":", ".") + "loss"] = loss / (weight or 1)\n')
    if rated:
        name = '"test " + of.replace(":", ".") + "accuracy"' if len(compiled.losses) > 1 else '"accuracy"'
        lines.append(f"        shown |= {{{name}: hits / (kept or 1)}} if LOSSES[of][1] else {{}}\n")
    if not lines:
        return ""
    read = f"{'loss, weight' if len(compiled.losses) > 1 else '_, _'}, {'hits, kept' if rated else '*_'}"
    return "".join([f"    for of, ({read}) in sums.items():\n", *lines])


def _loss(term: Term, compiled: Compiled) -> str:
    """One loss, for the program."""
    feed = next(feed for feed in compiled.feeds if feed.name == term.target)
    labels = prod(feed.shape) if term.of("hits") in dict(compiled.evaluate.outputs) else 0
    return f"{json.dumps(term.of(''))}: ({term.scale!r}, {labels})"


SCALARS = {
    "lr": "np.array(args.lr * factor(step, steps_per_epoch, args.epochs), FLOAT)",
    "step": "np.array(step)",
}
"""What a step may read beside the batch and the state."""
