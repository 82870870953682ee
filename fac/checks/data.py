"""FAC219: data that do not fit the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

from fac.checks.places import at_input, head, listed, nearest
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.feeds import inputs, target
from fac.program.lower import kind_of, reading
from fac.program.program import TARGET, Node, Objective, Program
from fac.spec.data import Data
from fac.step.feed import Feed, matched

if TYPE_CHECKING:
    from fac.training.dataset import Facts

DATA_MISFIT = Rule("FAC219", "data-misfit")


def data_misfit(program: Program) -> Iterator[Diagnostic]:
    """The data do not fill the input or a batch, or their targets are not what the loss reads.

    Training would refuse such data, after a download perhaps. The shape of samples may differ from `input.shape` if one
    of the two has a single axis and as many values, or if they differ in axes of length 1: images of 28 x 28 fill an
    input of 784 or of 1 x 28 x 28. Any other change of shape would scramble them. Labels are numbered from 0, so a
    loss over classes needs an output for each class; more outputs than classes are allowed. Of `arrays` nothing is
    known before the files are read: the training asks the same of them. A spec says two things that cannot both be,
    so no command takes it.

    Bad:

        input: {shape: [20]}
        data: {source: digits}

    Good:

        input: {shape: [64]}
        data: {source: digits}
    """
    spec = program.spec
    if spec.data is None:
        return
    kind = kind_of("fac.data", spec.data)
    facts = kind.known(spec.data)
    yield from _named(program, kind, facts)
    if facts is None or len(program.inputs) != 1:
        return
    (name, read), *_ = program.inputs.items()
    at = at_input(program, name)
    values, room = prod(facts.sample), prod(read.shape)
    if not facts.fit(read.shape):
        flat = f" or `[{values}]`" if len(facts.sample) > 1 else ""
        yield DATA_MISFIT.at(
            (*at, "shape"),
            f"a sample of `{kind.name}` has {values} values, and the input takes {room}"
            if values != room
            else f"a sample of `{kind.name}` has shape {list(facts.sample)}, and the input {list(read.shape)}",
            help=_input(program, name, facts)
            or f"use `{list(facts.sample)}`{flat}{_set(spec.data, values, room)}",
        )
    if (read.classes is None) != (facts.whole is None):
        yield DATA_MISFIT.at(
            (*at, "shape" if facts.whole else "classes"),
            f"`{kind.name}` holds {'whole' if facts.whole else 'real'} numbers, "
            f"and the input takes {'real' if facts.whole else 'whole'} ones",
            help=f"write `classes: {facts.whole}` beside it" if facts.whole else "leave `classes` out",
        )
    elif facts.whole is not None and facts.whole > (read.classes or 0):
        yield DATA_MISFIT.at(
            (*at, "classes"),
            f"`{kind.name}` holds the whole numbers from 0 to {facts.whole - 1}",
            help=f"write `classes: {facts.whole}`",
        )
    if spec.solve is None and facts.train is not None and spec.train.batch > facts.train:
        yield DATA_MISFIT.at(
            ("train", "batch"),
            f"a batch has {spec.train.batch} samples, and `{kind.name}` {facts.train} to train on",
            help=f"use a batch of at most {facts.train}",
        )
    for objective in program.losses:
        yield from _targets(program, objective, kind.name, facts, facts.fit(read.shape))


def _set(data: Data, values: int, room: int) -> str:
    """A setting of the data that says how many values a sample has, if there is one."""
    own = ((key, value) for key, value in data if key not in Data.model_fields)
    key = next((key for key, value in own if value == values and isinstance(value, int)), None)
    return f", or `{key}: {room}` in `data`" if key else ""


def _input(program: Program, name: str, facts: Facts) -> str:
    """What to write for a shape with an axis in front that samples lack: a batch, or channels (they have one)."""
    first, *rest = program.inputs[name].shape
    if len(rest) < 2 or not facts.fit(tuple(rest)):
        return ""
    if len(rest) > 2 or first == program.spec.train.batch:
        return f"leave the batch out: `{rest}`"
    readers = [node for node in program.nodes if node.inputs == (name,)]
    maps = any(reading(node, (tuple(rest),)).fault for node in readers)
    return f"write `{[1, *rest]}`, for one channel" + ("" if maps else f", or `{rest}`")


def _targets(
    program: Program, objective: Objective, source: str, facts: Facts, fits: bool
) -> Iterator[Diagnostic]:
    """Targets that a loss does not read, or not of so many classes.

    Where samples do not fit the input it is not known how many labels there should be.
    """
    loss = kind_of("fac.losses", objective.loss)
    if objective.target != TARGET:
        yield DATA_MISFIT.at(
            (*objective.origin, "target"),
            f"`{source}` has targets under one name, `{TARGET}`, and none called `{objective.target}`",
            help=f"read `{TARGET}`, or use `arrays`, which may have several",
        )
        return
    if loss.classes != facts.classes:
        has, other = ("class labels", "cross_entropy") if facts.classes else ("targets", "mse")
        yield DATA_MISFIT.at(
            ("data", "source"),
            f"`{source}` has {has}, which `{loss.name}` does not read",
            help=f"use other data, or a loss such as `{other}`",
        )
        return
    low, high = loss.within or (-inf, inf)
    least, most = facts.within or (low, high)
    if not facts.classes and not low <= least <= most <= high:
        yield DATA_MISFIT.at(
            ("data", "source"),
            f"`{source}` has targets from {least:g} to {most:g}, and `{loss.name}` reads {low:g} to {high:g}",
            help="use other data, or a loss such as `mse`",
        )
        return
    node = program.by_name.get(objective.of)
    if node is None or node.shape is None:
        return
    outputs = program.classes(objective.of) if facts.classes else prod(node.shape)
    if outputs is None:
        return
    if facts.classes and fits and (places := target(program, objective).shape) != facts.places:
        yield DATA_MISFIT.at(
            ("data", "source"),
            f"`{source}` has {_labels(facts.places)}, and the output of `{objective.of}`, {list(node.shape)}, takes "
            f"{_labels(places)}",
            help="use other data"
            if facts.places
            else "end with `global_avg_pool` or `flatten`, and then a `linear` layer; or use other data",
        )
    elif facts.outputs > outputs if facts.classes else facts.outputs != outputs:
        yield DATA_MISFIT.at(
            _width(program, node),
            f"`{source}` has {facts.outputs} {'classes' if facts.classes else 'targets'}, "
            f"and {'the network' if len(program.heads) == 1 else f'`{objective.of}`'} {outputs} outputs",
            help=f"end with {facts.outputs} outputs",
        )


def _named(program: Program, kind: Any, facts: Facts | None) -> Iterator[Diagnostic]:
    """Whether the arrays of the data are called as the inputs and the targets of the network.

    Of a source whose samples are known the targets are told of below, at the losses that read them.
    """
    data, given = program.spec.data, kind.arrays(program.spec.data)
    targets = dict.fromkeys(objective.target for objective in program.losses)
    if not targets.keys().isdisjoint({*program.inputs, *program.by_name}):
        return  # a finding of its own
    read = (feed for feed in inputs(program).values() if not (feed.mask and kind.masks))
    fed = [*read, *(Feed(target, (), "loss") for target in targets)]
    found = matched(given, fed)
    missing = [feed.name for feed in fed if feed.name not in found and (facts is None or feed.loss is None)]
    twice = next((name for name, times in Counter(given).items() if times > 1), None)
    if data is not None and twice is not None:
        message = f"`{twice}` is named twice among the arrays of `{kind.name}`"
        yield DATA_MISFIT.at(("data", "names"), message, help="name each array once")
    elif data is not None and (missing or (facts is None and len(found) < len(given))):
        yield from _unlike(program, kind.name, given, fed, missing)


def _unlike(
    program: Program, source: str, given: Collection[str], fed: Sequence[Feed], missing: Sequence[str]
) -> Iterator[Diagnostic]:
    """Arrays and feeds that have no partner: first what is surely misspelt, and if there is nothing, all of them."""
    data, loose = program.spec.data, set(given) - {feed.name for feed in fed}
    slips = {name: near for name in missing if (near := nearest(name, loose))}
    for name, near in slips.items():
        losses = [o for o in program.losses if o.target == name and "target" in o.loss.model_fields_set]
        asked = [(*objective.origin, "target") for objective in losses]
        for path in asked or [at_input(program, name)]:
            yield DATA_MISFIT.at(
                path,
                f"`{source}` has no array `{name}`",
                help=f"did you mean `{near[0]}`?",
                key=not asked,
            )
    if slips:
        return
    wanted = [feed.name for feed in fed]
    help = f"use `arrays`, with `names: [{', '.join(wanted)}]`"
    if program.spec.input is not None and loose and missing == [fed[0].name]:
        shape = list(program.spec.input.shape)
        help = f"call the input as its array: `inputs: {{{min(loose, key=list(given).index)}: {{shape: {shape}}}}}`"
    yield DATA_MISFIT.at(
        ("data", "names" if data is not None and "names" in data.model_fields_set else "source"),
        f"`{source}` has the arrays {listed(given)}, and the network is fed with {listed(wanted)}",
        help=help,
    )


def _labels(places: tuple[int, ...]) -> str:
    return f"labels {list(places)} of each sample" if places else "one label for each sample"


def _width(program: Program, output: Node) -> Path:
    """Where the number of outputs is written: below the output there may be an activation, or a dropout."""
    node = output
    while (
        "out" not in type(node.layer).model_fields
        and len(node.inputs) == 1
        and node.inputs[0] in program.by_name
    ):
        node = program.by_name[node.inputs[0]]
    return (*node.origin, "out") if "out" in type(node.layer).model_fields else head(output)
