"""The words of a difference, which text and Markdown share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fac.escaping import visible
from fac.render.blocks import globs
from fac.render.diff.difference import Difference, Figure, Plain
from fac.render.show import binary, number
from fac.spec.core_schema import DISCRIMINATORS

TITLES = {
    "errors": "errors that layers learn from",
    "routes": "routes",
    "subspaces": "subspaces",
    "trainable": "what is trained",
    "layers": "layers",
    "network": "input and loss",
    "update": "update",
    "training": "data and training",
    "probes": "probes",
    "constraints": "constraints",
    "step": "compiled step, beside the settings",
}
COSTS = {
    "parameters": "parameters",
    "feedback_parameters": "feedback parameters",
    "backward_macs": "backward multiply-adds",
    "backward_macs_vs_backprop": "against backprop",
    "feedback_words": "feedback words",
    "peak_bytes": "peak memory",
}
MARKS = {"added": "+", "removed": "-", "changed": "~"}
SAME = "no difference in meaning"
NOTHING = "–"
BY = {"exact": "exact", "through": "through", "to": "direct"}
SILENT = ("error", "trainable", "value", "layer")
"""Facts that say what they are about without being named."""
NAMED = 3
"""How many names a line lists."""
UNITS = ((30, "GiB"), (20, "MiB"), (10, "KiB"))
ALIKE = 10
"""Two amounts of memory of less than that ratio are shown in one unit."""
MOST_DIGITS = 4
"""Decimals of an amount of memory, beyond which bytes are easier to read."""


def value(of: Plain) -> str:
    """A value in few words: `low_rank, rank 10, read oja (rate 0.5)`."""
    match of:
        case None:
            return NOTHING
        case bool():
            return str(of).lower()
        case Mapping():
            return ", ".join(_entry(key, item) for key, item in of.items())
        case tuple():
            return f"[{', '.join(map(value, of))}]"
    return visible(str(of))


def _entry(key: str, item: Plain) -> str:
    if key in DISCRIMINATORS:
        return value(item)
    if not isinstance(item, Mapping):
        return f"{key} {value(item)}"
    # What a mapping in a mapping is goes before the rest of it, which stands in brackets.
    kind = next((str(item[k]) for k in DISCRIMINATORS if k in item), "")
    rest = {k: v for k, v in item.items() if k not in DISCRIMINATORS}
    return f"{key} {kind}{' ' * bool(kind and rest)}{f'({value(rest)})' * bool(rest)}"


def fact(field: str, of: Plain) -> str:
    """The value of a fact of that name."""
    if of is None:
        return NOTHING
    if field == "error" and isinstance(of, tuple):
        return " + ".join(map(_source, of)) or "none"
    if field in ("output", "input", "shape") and isinstance(of, tuple):
        return _shapes(of)
    return number(of) if field == "parameters" and isinstance(of, int) else value(of)


def named(field: str, of: Plain) -> str:
    """A fact with its name, as one of several."""
    shown = fact(field, of)
    if field == "parameters":
        return f"{shown} {field.removesuffix('s' * (of == 1))}"
    return shown if isinstance(of, Mapping) or field in SILENT else f"{visible(field)} {shown}"


def _source(of: Plain) -> str:
    assert isinstance(of, Mapping)
    above = of.get("above", ())
    assert isinstance(above, tuple)
    return " <- ".join((f"{value(of['from'])} ({BY[str(of['by'])]})", *map(_source, above)))


def _shapes(of: tuple[Plain, ...]) -> str:
    """`28x28`, or several of them."""
    if any(isinstance(item, tuple) for item in of):
        return ", ".join(_shapes(item) for item in of if isinstance(item, tuple))
    return "x".join(map(str, of)) or "1"


def listed(names: Sequence[str]) -> str:
    """A few names, and how many more."""
    more = len(names) - NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:NAMED])} and {number(more)} more"


def figure(of: Figure) -> tuple[str, str, str, str]:
    """What is counted, before, after, and the difference in percent."""
    match of.name:
        case "peak_bytes":
            shown = _sizes(int(of.old), int(of.new))
        case "backward_macs_vs_backprop":
            digits = _digits(of.old, of.new, 3)
            shown = f"{of.old:.{digits}f}", f"{of.new:.{digits}f}"
        case _:
            shown = number(int(of.old)), number(int(of.new))
    return COSTS[of.name], *shown, percent(of)


def _sizes(old: int, new: int) -> tuple[str, str]:
    """Two amounts of memory: rounded to what tells them apart, in one unit if they are alike."""
    near, far = sorted((old, new))
    if near == far or far >= ALIKE * near:
        return binary(old), binary(new)
    exponent, unit = next(((e, u) for e, u in UNITS if near >= 1 << e), (0, "B"))
    before, after = old / (1 << exponent), new / (1 << exponent)
    digits = _digits(before, after, 1)
    if not exponent or digits > MOST_DIGITS:
        return f"{number(old)} B", f"{number(new)} B"
    return f"{before:,.{digits}f} {unit}", f"{after:,.{digits}f} {unit}"


def _digits(old: float, new: float, fewest: int) -> int:
    """How many decimals show the difference of two numbers within a fifth of it."""
    apart = abs(new - old)
    return max(fewest, math.ceil(math.log10(5 / apart))) if apart else fewest


def percent(of: Figure) -> str:
    """`-32.7 %`; a dash where nothing differs."""
    share = of.percent
    if not share:
        return "new" if share is None else NOTHING
    return f"{share:+,.1f} %" if abs(share) >= 0.05 else f"{share:+.1g} %"


def summary(of: Difference, quoted: Callable[[str], str] = visible) -> tuple[str, str, str]:
    """A spec that is new or gone in three lines: what it is, whether it transports weights, and what it costs.

    Args:
        of: the difference from nothing, or to nothing.
        quoted: how names are written.
    """
    added = of.status == "added"
    costs = {f.name: f.new if added else f.old for f in of.costs}
    transporting = tuple(map(quoted, of.transport.new if added else of.transport.old))
    return (
        f"{'new' if added else 'deleted'} spec: {layers([i.subject.name for i in of.sections['layers']])}, "
        f"{number(int(costs['parameters']))} parameters, "
        f"{number(int(costs['feedback_parameters']))} feedback parameters",
        f"weight transport: {listed(transporting) or 'none'}",
        f"cost, batch {of.batch[0]}: {number(int(costs['backward_macs']))} backward multiply-adds, "
        f"{costs['backward_macs_vs_backprop']:.3f} of backprop; peak memory {binary(int(costs['peak_bytes']))}",
    )


@dataclass(frozen=True, slots=True)
class Shout:
    """What nobody should overlook: what happened, at which layers, and what else holds."""

    what: str
    names: tuple[str, ...]
    rest: str
    bad: bool


def loud(difference: Difference) -> Iterator[Shout]:
    """What happened to weight transport."""
    of = difference.loud or difference.transport
    if of.introduced:
        rest = f"it was at {layers(of.old)} before" if of.old else "there was none"
        yield Shout("weight transport introduced", _called(difference, of.introduced), rest, True)
    if of.removed:
        rest = f"it is left at {layers(of.new)}" if of.new else "none is left"
        yield Shout("weight transport removed", _called(difference, of.removed), rest, False)


def _called(difference: Difference, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(visible, globs(difference.copies, names)))


def layers(names: Sequence[str]) -> str:
    """How many there are."""
    return f"{number(len(names))} layer{'s' * (len(names) != 1)}"
