"""What the audit has looked at in the trained networks, layer by layer, with the limits beyond which it speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from statistics import fmean, stdev

from fac.escaping import html as text
from fac.escaping import in_place
from fac.render.graph import svg
from fac.render.graph.words import shortened
from fac.render.plot.axes import drawable
from fac.render.plot.figure import Curve, Figure, Panel, Stroke
from fac.render.plot.layout import laid_out
from fac.render.plot.thinning import Point
from fac.render.report import parts
from fac.render.report.curves import ROUNDING, SHEET
from fac.render.report.facts import Audit, Book, Limits, Setting

TOLD = (
    "Measured on one batch of training samples after the training, mean over runs ± one standard deviation. What is "
    "wrong is said at the top; docs/audit.md says what each limit is for."
)
NONE = (
    "no network of these runs was looked at: `fac compare` does so, and `fac train --audit`; `fac evaluate RUN "
    "--audit` looks at one that is trained"
)
LIMIT = Stroke("quiet", "7 4")
FAR = 10.0
"""How many times the greatest number a limit is that is not drawn: beside it all would be one line."""
ROOM = 60.0
"""Of the name of a layer below a panel."""

Spread = tuple[float, float]
"""Mean and standard deviation over runs; NaN where one of them has no number."""
NOWHERE: Spread = (nan, 0.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the panels."""

    name: str
    """As logs call such numbers."""
    title: str
    told: str
    of: Callable[[Audit], Mapping[str, float]]
    limit: Callable[[Limits], float] | None = None
    beyond: str = ""
    """What there is beyond the limit."""
    least: bool = False
    """Whether it is the least that numbers should be, and not the most."""


MEASURES = (
    Measure(
        "activation.ratio",
        "Scale of activations",
        "root mean square of what a hidden layer puts out over that of what it reads",
        lambda audit: audit.scale,
        lambda limits: limits.scale,
        "activations run away",
    ),
    Measure(
        "gradient.true_norm",
        "Norm of the true gradient",
        "of each weight that learns, the lowest layer first",
        lambda audit: audit.true,
        lambda limits: limits.floor,
        "a cosine with it means nothing",
        least=True,
    ),
    Measure(
        "gradient.cosine",
        "Cosine with the true gradient",
        "of the gradient that the routes make; a gap where the true one is not above the floor",
        lambda audit: audit.cosine,
    ),
    Measure(
        "gradient.share",
        "Share in the cosine of all gradients",
        "of each layer, by the norms of both its gradients",
        lambda audit: audit.share,
        lambda limits: limits.share,
        "one layer speaks for all",
    ),
)


def section(name: str, title: str, book: Book) -> str:
    """A picture for each measure, and a table of what they come to; or that nobody has looked."""
    each = [(setting, _audits(setting)) for setting in book.settings]
    found = {setting.label: audits for setting, audits in each if audits}
    if not found or book.limits is None:
        return parts.section(name, title, parts.notes([NONE] if book.settings else []))
    key = parts.legend((book.looks[label], label) for label in found) if len(found) > 1 else ""
    figures = "".join(_figure(measure, found, book.limits, book.looks) for measure in MEASURES)
    header = (
        "setting", "runs", "largest scale", "true gradient, lowest layer", "its cosine", "cosine of all", "most of it",
    )  # fmt: skip
    rows = [(label, f"{len(audits)}", *_summary(audits)) for label, audits in found.items()]
    others = ", ".join(f"`{setting.label}`" for setting, audits in each if not audits)
    return parts.section(
        name,
        title,
        parts.table(TOLD, header, rows),
        parts.notes([f"nobody has looked at {others}"] if others else []),
        key,
        f'<div class="panels">{figures}</div>',
    )


def _audits(setting: Setting) -> tuple[Audit, ...]:
    return tuple(run.audit for run in setting.counted if run.audit is not None)


def _figure(
    measure: Measure, found: Mapping[str, Sequence[Audit]], limits: Limits, looks: Mapping[str, Stroke]
) -> str:
    """One measure: a curve for each setting, over layers; nothing where no layer has a number."""
    spreads = {label: _spreads([measure.of(audit) for audit in audits]) for label, audits in found.items()}
    layers = [*dict.fromkeys(layer for of in spreads.values() for layer in of)]
    limit = None if measure.limit is None else measure.limit(limits)
    curves = []
    for label, of in spreads.items():
        points = tuple(
            _point(place, of.get(layer, NOWHERE), positive=limit is not None)
            for place, layer in enumerate(layers)
        )
        if not all(isnan(mean) for _, mean, _, _ in points):
            curves.append(Curve(label, looks[label], points, measure.name))
    if not curves:
        return ""
    greatest = max(mean for curve in curves for _, mean, _, _ in curve.points if not isnan(mean))
    near = limit is not None and (measure.least or greatest > limit / FAR)
    if limit is not None and near:
        ends = tuple((place, limit, limit, limit) for place in (-0.5, len(layers) - 0.5))
        curves.append(Curve("limit", LIMIT, ends, measure.name))
    names = tuple(shortened(in_place(layer), ROOM, SHEET.small) for layer in layers)
    whole = Figure(measure.title, "", (Panel(measure.title, tuple(curves)),), (), (), "layer", names)
    picture = svg.render(laid_out(whole, bare=True, sheet=SHEET), inline=True)
    rows = [(layer, *(_told(of.get(layer, NOWHERE)) for of in spreads.values())) for layer in layers]
    numbers = parts.opens("numbers", parts.table(measure.title, ("layer", *spreads), rows), screen=True)
    told = measure.told
    if limit is not None:
        side = "down from" if measure.least else "above"
        zero = ", ".join(label for label, of in spreads.items() if any(mean == 0 for mean, _ in of.values()))
        told += f"; zeros, of {zero}, have no place" if zero and measure.least else ""
        told += f"; {'dashed' if near else 'the limit, far above'}: {limit:g}, {side} which {measure.beyond}"
    return f"<figure>{picture}<figcaption>{text(told)}</figcaption>{numbers}</figure>"


def _point(place: int, spread: Spread, *, positive: bool) -> Point:
    """Where `positive` only what has a place on an axis of logarithms, which a limit that is far may ask for."""
    mean, sd = spread
    drawn = drawable(mean) and (mean > 0 or not positive)
    return (float(place), mean, mean - sd, mean + sd) if drawn else (float(place), nan, nan, nan)


def _summary(audits: Sequence[Audit]) -> Iterator[str]:
    """What stands out in the networks of one setting."""
    scale, share = _spreads([audit.scale for audit in audits]), _spreads([audit.share for audit in audits])
    true, cosine = _spreads([audit.true for audit in audits]), _spreads([audit.cosine for audit in audits])
    lowest = next(iter(true), "")
    yield _largest(scale)
    yield f"{_told(true[lowest])} ({lowest})" if lowest else "–"
    yield _told(cosine.get(lowest, NOWHERE))
    yield _told(_spread([audit.stacked for audit in audits]))
    yield _largest(share)


def _largest(of: Mapping[str, Spread]) -> str:
    known = {layer: spread for layer, spread in of.items() if isfinite(spread[0])}
    if not known:
        return "–"
    layer = max(known, key=lambda layer: known[layer][0])
    return f"{_told(known[layer])} ({layer})"


def _spreads(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    layers = dict.fromkeys(layer for run in runs for layer in run)
    return {layer: _spread([run.get(layer, nan) for run in runs]) for layer in layers}


def _spread(values: Sequence[float]) -> Spread:
    if not all(map(drawable, values)):
        return NOWHERE
    mean, sd = fmean(values), stdev(values) if len(values) > 1 else 0.0
    return mean, sd if sd > ROUNDING * abs(mean) else 0.0


def _told(spread: Spread) -> str:
    mean, sd = spread
    return parts.number(mean, 3) + (f" ± {sd:.2g}" if sd else "")
