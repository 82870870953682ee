"""Source of `run.py`: the training of one spec on one page, with onnxruntime and NumPy alone."""

from __future__ import annotations

import json
from math import prod

from fac.backend import Compiled, Feed, HostTask, Term, docstring
from fac.diagnostics import FacError
from fac_onnx.run_text import (
    OTHER_BOUND,
    OTHER_CARRIED,
    OTHER_OPENED,
    OTHER_TURNED,
    PAGE,
    SVD,
)


def run_page(compiled: Compiled, precision: str, fingerprint: str) -> str:
    """The whole program.

    Args:
        compiled: says what is trained, and how.
        precision: of the models that it runs.
        fingerprint: of these: it runs no others.

    Raises:
        FacError: something that happens between steps has no form in NumPy here.
    """
    c, recipe = compiled, compiled.recipe
    tasks = between(c.tasks)
    return PAGE.substitute(
        title=docstring(c.name),
        version=c.version,
        spec_hash=c.spec_hash,
        fingerprint=fingerprint,
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
        between=tasks,
        **turns(c),
    )


def turns(compiled: Compiled) -> dict[str, str]:
    """How the loop runs a step: the step model, or at some steps another one."""
    anchor, read = compiled.anchor, {value.name for value in compiled.step.inputs}
    parts = dict.fromkeys(("opened", "bound", "turned", "carried", "swapped"), "")
    if anchor is None:
        feeds = [f'        binding.bind_cpu_input("{k}", {v})' for k, v in SCALARS.items() if k in read]
        return {**parts, "kept": "moved", "turn": "binding", "model": "model", "feeds": "\n".join(feeds)}
    also = {value.name for value in anchor.step.inputs}
    feeds = []
    for name, value in SCALARS.items():
        bound = f'run.bind_cpu_input("{name}", {value})'
        if name in read & also:
            feeds.append(f"        {bound}")
        elif name in read | also:
            feeds.append(f"        if {'not due' if name in read else 'due'}:\n            {bound}")
    return {
        "opened": OTHER_OPENED.format(name=anchor.step.name),
        "kept": "moved | also",
        "bound": OTHER_BOUND,
        "turned": OTHER_TURNED.format(every=anchor.every),
        "turn": "run",
        "feeds": "\n".join(feeds),
        "model": "(other if due else model)",
        "carried": OTHER_CARRIED,
        "swapped": "        turn, next_turn = next_turn, turn\n",
    }


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
