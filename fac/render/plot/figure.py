"""Which curves there are: from tables of numbers by step to panels of curves that belong side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import fsum, inf, isnan, nan, sqrt

from fac.diagnostics import FacError
from fac.plugins import kinds
from fac.program.globs import Names
from fac.render.plot.axes import ROUNDING, drawable
from fac.render.plot.thinning import MOST, Point, thinned
from fac.render.plot.topics import topic

Row = Mapping[str, float | None]
"""One line of a log: numbers by name, `step` among them."""
WAYS = {"train": "loss on training data", "validation": "", "test": ""}
PLAIN = ("lr", "seconds", "step_ms")
"""What is drawn if somebody asks for it."""
COUNTS = ("epoch", "step")
TONES = ("value", "random", "low_rank", "transpose", "identity", "other", "alarm")
RAMP = tuple(f"depth{i}" for i in range(9))
DASHES = ("", "7 4", "2 3", "9 3 2 3")
"""Of settings of one family, which have its colour."""
ALL = "all layers"
WITHIN = {"accuracy": (0.0, 1.0), "cosine": (-1.0, 1.0)}
"""The last word of a name, and between what such numbers lie."""
NOWHERE = (inf, -inf)
"""Between what no number lies."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Runs of one setting, which differ in their seeds."""

    label: str
    runs: tuple[tuple[Row, ...], ...]
    family: str = ""
    """Of several with one, such as those of one rule, all have its colour, and dashes of their own."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """How the line of a curve looks."""

    tone: str
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (step, mean, low, high); a NaN of a mean is a gap."""

    label: str
    stroke: Stroke
    points: tuple[Point, ...]
    name: str
    """In the log."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves on one pair of axes."""

    title: str
    curves: tuple[Curve, ...]

    @property
    def within(self) -> tuple[float, float] | None:
        """Where means that are drawn lie by what they are, if that is known and they do. A spread may go beyond."""
        kinds = {split(curve.name)[1].rpartition(".")[2] for curve in self.curves}
        least, most = WITHIN.get(kinds.pop(), NOWHERE) if len(kinds) == 1 else NOWHERE
        means = [mean for curve in self.curves for _, mean, _, _ in curve.points if not isnan(mean)]
        inside = all(least - ROUNDING <= mean <= most + ROUNDING for mean in means)
        return (least, most) if inside else None


@dataclass(frozen=True, slots=True)
class Figure:
    """What is drawn."""

    title: str
    subtitle: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, Stroke], ...]
    """Labels and their lines, in the order of the curves."""
    notes: tuple[str, ...]
    """What a reader has to know: what was asked for and is not there."""
    axis: str = "step"
    """What the numbers below a panel count."""
    places: tuple[str, ...] = ()
    """What is written below a panel instead of numbers, at 0, 1, 2, …, such as the names of layers."""


def figure(
    trials: Sequence[Trial], globs: Sequence[str] = (), axis: str = "step", topics: Sequence[str] = ()
) -> Figure:
    """The figure of some trials.

    Of one trial each panel has one measure, with a curve for each layer; of several each panel has one name, with a
    curve for each trial. The mean over runs is drawn, and one standard deviation on each side of it.

    Args:
        trials: one or more.
        globs: of names to draw; by default the losses, the accuracy and the probes, of several trials those probes that
            measure all layers at once.
        axis: what `step` counts in these tables, if not steps.
        topics: see `fac.render.plot.topics`: what names are about that are drawn, too.

    Raises:
        FacError: a glob means no name, a topic has none, or nothing that there is can be drawn.
    """
    names = logged(trials)
    if not globs and not topics:
        return drawn(trials, _usual(names, several=len(trials) > 1), axis)
    found = {*(_chosen(names, globs) if globs else ()), *(_about(names, topics) if topics else ())}
    return drawn(trials, [name for name in names if name in found], axis)


def logged(trials: Sequence[Trial]) -> list[str]:
    """All names of their logs but those that count epochs and steps."""
    names = dict.fromkeys(name for trial in trials for run in trial.runs for row in run for name in row)
    return [name for name in names if name not in COUNTS]


def drawn(trials: Sequence[Trial], names: Sequence[str], axis: str = "step", most: int = MOST) -> Figure:
    """The figure of just these names of the logs of some trials; see `figure`.

    Args:
        trials: see `figure`, as `axis`.
        names: of their logs.
        axis: what `step` counts.
        most: points of a curve.

    Raises:
        FacError: none of them can be drawn.
    """
    curves = {name: [_points(trial, name) for trial in trials] for name in names}
    void = [name for name, each in curves.items() if not any(map(_seen, each))]
    chosen = [name for name in names if name not in void]
    if not chosen:
        raise FacError(
            f"nothing can be drawn: {', '.join(f'`{name}`' for name in void)} have no finite value"
        )
    notes = [f"`{name}` has no finite value and is left out" for name in void]
    notes += _cut(trials)
    few = {name: [thinned(points, most) for points in each] for name, each in curves.items()}
    if few != curves:
        notes.append(
            f"a curve of more than {most} points is drawn through the least and the greatest of each of {most // 2} "
            "equal parts"
        )
    if len(trials) == 1:
        panels, legend = _by_layer({name: few[name][0] for name in chosen})
    else:
        panels, legend = _by_trial(trials, chosen, few)
    return Figure(*_titles(trials), panels, legend, tuple(notes), axis)


def split(name: str) -> tuple[str, str, str]:
    """A name as a layer, a measure, and the measure in words: `fc1.error.cosine` as `fc1` and `error.cosine`."""
    for way in WAYS:
        if name in (f"{way}_loss", f"{way}_accuracy"):
            measure = name.removeprefix(f"{way}_")
            return way, measure, measure
        if name.startswith(f"{way}.") and name.endswith((".loss", ".accuracy")):
            head, measure = name.removeprefix(f"{way}.").rsplit(".", 1)
            return way, f"{head}.{measure}", f"{measure} of {head}"
    known = {m: words for kind in kinds("fac.probes") for m, words in kind.measures.items()}
    parts = name.split(".")
    for i in range(len(parts)):
        measure = ".".join(parts[i:])
        if measure in known:
            return ".".join(parts[:i]) or ALL, measure, known[measure]
    return ".".join(parts[:-1]) or ALL, parts[-1], parts[-1].replace("_", " ")


def _chosen(names: Sequence[str], globs: Sequence[str]) -> list[str]:
    known, found = Names(names), dict[str, None]()
    for glob in globs:
        matching = known.matching(glob)
        if not matching:
            near = get_close_matches(glob, names, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {_few(names)}"
            raise FacError(f"`{glob}` is no name in these logs, nor does it stand for one: {hint}")
        found |= dict.fromkeys(matching)
    return [name for name in names if name in found]


def _about(names: Sequence[str], topics: Sequence[str]) -> list[str]:
    known = {name: topic(split(name)[1]) for name in names}
    for wanted in topics:
        if wanted not in known.values():
            there = ", ".join(f"`{each}`" for each in dict.fromkeys(known.values()))
            raise FacError(f"no name in these logs is about `{wanted}`; there is {there}")
    return [name for name in names if known[name] in topics]


def _few(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} others" if len(names) > most else shown


def _usual(names: Sequence[str], *, several: bool) -> list[str]:
    found = [name for name in names if name not in PLAIN]
    return [name for name in found if split(name)[0] in (ALL, *WAYS)] if several else found


def _points(trial: Trial, name: str) -> tuple[Point, ...]:
    """The mean and its surroundings at the steps at which all runs have logged the name, if only as undefined."""
    tables = [{row["step"]: row[name] for row in run if name in row} for run in trial.runs]
    steps = [step for step in tables[0] if step is not None and all(step in table for table in tables)]
    found = []
    for step in sorted(steps):
        values = [v for table in tables if (v := table[step]) is not None and drawable(v)]
        mean, spread = _spread(values) if len(values) == len(tables) else (nan, 0.0)
        found.append((float(step), mean, mean - spread, mean + spread))
    return tuple(found)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation. `statistics.stdev` counts in fractions, which takes forty times as long."""
    n = len(values)
    mean = fsum(values) / n
    return mean, sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else 0.0


def _seen(points: Sequence[Point]) -> bool:
    return any(not isnan(mean) for _, mean, _, _ in points)


def _cut(trials: Sequence[Trial]) -> list[str]:
    """Trials of which some runs have come further than others."""
    found = []
    for trial in trials:
        ends = [max(row["step"] or 0 for row in run) for run in trial.runs]
        if min(ends) < max(ends):
            found.append(
                f"`{trial.label}`: the shortest of its runs ends at step {min(ends):,}; the rest is left out"
            )
    return found


Drawn = tuple[tuple[Panel, ...], tuple[tuple[str, Stroke], ...]]


def _by_layer(curves: Mapping[str, tuple[Point, ...]]) -> Drawn:
    found = {name: split(name) for name in curves}
    layers = list(dict.fromkeys(layer for layer, _, _ in found.values() if layer not in (ALL, *WAYS)))
    tones = _tones(layers) | {ALL: "ink", "train": "quiet", "validation": "value", "test": "ink"}
    strokes = {label: Stroke(tone) for label, tone in tones.items()}
    panels = []
    for measure in dict.fromkeys(measure for _, measure, _ in found.values()):
        here = [name for name in curves if found[name][1] == measure]
        each = [Curve(found[n][0], strokes[found[n][0]], curves[n], n) for n in here]
        panels.append(Panel(found[here[0]][2], tuple(sorted(each, key=lambda curve: curve.label == ALL))))
    labels = dict.fromkeys(curve.label for panel in panels for curve in panel.curves)
    ways = [way for way in (*WAYS, ALL) if way in labels]
    return tuple(panels), tuple((label, strokes[label]) for label in (*ways, *layers))


def _tones(labels: Sequence[str]) -> dict[str, str]:
    """Colours that are told apart, of a few; of many a ramp, from the first to the last."""
    if len(labels) <= len(TONES):
        return dict(zip(labels, TONES, strict=False))
    return {label: RAMP[i * len(RAMP) // len(labels)] for i, label in enumerate(labels)}


def strokes(trials: Sequence[Trial]) -> dict[str, Stroke]:
    """The lines of trials by their labels: a colour for each family, dashes for what has the same one."""
    families: dict[str, list[str]] = {}
    for trial in trials:
        families.setdefault(trial.family or trial.label, []).append(trial.label)
    if max(map(len, families.values())) > len(DASHES):
        return {label: Stroke(tone) for label, tone in _tones([trial.label for trial in trials]).items()}
    tones = _tones(list(families))
    return {
        label: Stroke(tones[family], dash)
        for family, labels in families.items()
        for label, dash in zip(labels, DASHES, strict=False)
    }


def _by_trial(
    trials: Sequence[Trial], names: Sequence[str], curves: Mapping[str, Sequence[tuple[Point, ...]]]
) -> Drawn:
    looks = strokes(trials)
    panels = []
    for name in names:
        layer, _, words = split(name)
        title = words if layer == ALL else f"{layer} {words}" if layer in WAYS else name
        pairs = zip(trials, curves[name], strict=True)
        here = (
            Curve(trial.label, looks[trial.label], points, name) for trial, points in pairs if _seen(points)
        )
        panels.append(Panel(title, tuple(here)))
    there = {curve.label for panel in panels for curve in panel.curves}
    return tuple(panels), tuple((label, look) for label, look in looks.items() if label in there)


def _titles(trials: Sequence[Trial]) -> tuple[str, str]:
    counts = sorted({len(trial.runs) for trial in trials})
    title = trials[0].label if len(trials) == 1 else f"{len(trials)} settings"
    if counts == [1]:
        return title, ""
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return title, f"mean of {runs} runs each, and one standard deviation on either side" if len(
        trials
    ) > 1 else (f"mean of {runs} runs, and one standard deviation on either side")
