"""What sweeps have searched for, and what their trials came to on validation data: no number of a test set is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, nan

from fac.escaping import html as text
from fac.render.graph import svg
from fac.render.plot.axes import drawable
from fac.render.plot.figure import Curve, Figure, Panel, Stroke, Trial, strokes
from fac.render.plot.layout import laid_out
from fac.render.report import parts
from fac.render.report.curves import SHEET
from fac.render.report.facts import Book, Search, SearchTrial

FEW = 12
"""Trials that are listed at once."""
STATES = ("complete", "pruned", "diverged")


def section(name: str, title: str, book: Book) -> str:
    """Spaces, the best of each rule, values against settings, and each trial."""
    return parts.section(name, title, *(part for search in book.searches for part in _search(search, book)))


def _search(search: Search, book: Book) -> Iterator[str]:
    yield f"<h3>{text(f'Sweep {search.path}')}</h3>"
    told = (
        f"{search.how}; judged by {_words(search.goal)}. Test data are read for the best alone, see results"
    )
    spaces = [
        (path, values, ", ".join(rule for rule, paths in search.spaces.items() if path in paths))
        for path, values in search.over.items()
    ]
    yield parts.table(told, ("setting", "values", "searched for with"), spaces)
    best = [_of_rule(rule, search) for rule in search.spaces]
    yield parts.table(
        f"Trials, and the best of each rule by {_words(search.goal)}: of several trials the best is better than it is",
        ("rule", "trials", *STATES, _title(search.goal), "settings"),
        best if search.trials else (),
    )
    figures = "".join(_figure(path, search, book) for path in search.over)
    yield f'<div class="panels">{figures}</div>' if figures else ""
    ranked = sorted(search.trials, key=lambda trial: (trial.state != "complete", -_rank(trial, search)))
    lines = [
        (
            trial.rule,
            str(trial.number),
            trial.state,
            _told(trial.value, search.goal),
            str(trial.epochs),
            *(_setting(trial.settings[path]) if path in trial.settings else "–" for path in search.over),
        )
        for trial in ranked
    ]
    header = ("rule", "trial", "state", _title(search.goal), "epochs", *search.over)
    caption = "Best first; of one that was pruned the value after its last epoch"
    if lines:
        yield parts.opens(
            f"each of {len(lines)} trials", parts.table(caption, header, lines), now=len(lines) <= FEW
        )


def _of_rule(rule: str, search: Search) -> tuple[str, ...]:
    trials = [trial for trial in search.trials if trial.rule == rule]
    states = [trial.state for trial in trials]
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    best = max(complete, key=lambda trial: (_rank(trial, search), -trial.number), default=None)
    settings = (
        "–" if best is None else ", ".join(f"{path} {_setting(v)}" for path, v in best.settings.items())
    )
    value = "–" if best is None else _told(best.value, search.goal)
    return (rule, str(len(trials)), *(str(states.count(state)) for state in STATES), value, settings)


def _rank(trial: SearchTrial, search: Search) -> float:
    """Higher is better."""
    value = nan if trial.value is None else trial.value
    if not isfinite(value):
        return float("-inf")
    return value if search.goal.endswith("accuracy") else -value


def _figure(path: str, search: Search, book: Book) -> str:
    """A dot for each complete trial: its value over one setting; nothing where that is no number."""
    found = {
        rule: points
        for rule in search.spaces
        if (points := [*_points(rule, path, search)]) and path in search.spaces[rule]
    }
    if not found:
        return ""
    looks = _looks(search, book)
    curves = tuple(Curve(rule, looks[rule], tuple(points), search.goal) for rule, points in found.items())
    title = f"{_title(search.goal)} of trials over {path}"
    figure = Figure(
        title, "", (Panel(_words(search.goal), curves),), tuple((c.label, c.stroke) for c in curves), (), path
    )
    picture = svg.render(laid_out(figure, bare=True, sheet=SHEET), inline=True)
    caption = f"<code>{text(search.goal)}</code> of each complete trial over <code>{text(path)}</code>"
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _points(rule: str, path: str, search: Search) -> Iterator[tuple[float, float, float, float]]:
    """Each with a gap behind it: no line joins trials."""
    pairs = [
        (float(setting), trial.value)
        for trial in search.trials
        if trial.rule == rule and trial.state == "complete" and trial.value is not None
        for setting in [trial.settings.get(path)]
        if isinstance(setting, int | float) and not isinstance(setting, bool) and drawable(setting)
    ]
    for setting, value in sorted(pairs):
        if drawable(value):
            yield setting, value, value, value
            yield setting, nan, nan, nan


def _looks(search: Search, book: Book) -> Mapping[str, Stroke]:
    """As the best are drawn elsewhere on the page, if all of them are."""
    own = strokes([Trial(rule, ()) for rule in search.spaces])
    return book.looks if own.keys() <= book.looks.keys() else own


def _words(goal: str) -> str:
    return goal.replace("_", " ")


def _title(goal: str) -> str:
    return f"{_words(goal)} %" if goal.endswith("accuracy") else _words(goal)


def _told(value: float | None, goal: str) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if goal.endswith("accuracy") else parts.number(value)


def _setting(value: object) -> str:
    """As in a file, numbers to four digits."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
