"""The page of a benchmark, as a function of the file of its results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fac.escaping import code, prose
from fac.experiments.sweeps.spaces import shown
from fac.studies.benchmarks.entries import ACCURACY, VALIDATION
from fac.studies.report import FAILED, HELD, cell

PICTURE = "accuracies.svg"
_HEADER = (
    "rule",
    "test accuracy %",
    "lowest to highest",
    "− bp, points",
    "cosine",
    "backward multiply-adds",
    "weight transport",
    "settings",
    "validation %",
)


def page(found: Mapping[str, Any]) -> str:
    """All of it, in Markdown.

    Args:
        found: see `entries.read`.
    """
    lines = [
        f"# {found['title']}",
        "",
        found["source"],
        "",
        f"Made by {code(found['command'])} on {_machine(found)}.",
        "",
    ]
    lines += [summary(found), _LEGEND, ""]
    if any("rows" in task for task in found["tasks"]):
        lines += [f"![{found['title']}]({PICTURE})", ""]
    lines += [f"- {code(rule)}: {prose(says)}" for rule, says in found["rules"].items()]
    for task in found["tasks"]:
        lines += ["", f"## {task['title']}", "", *_task(task, found["rules"])]
    return "\n".join(lines) + "\n"


_LEGEND = (
    "Test accuracy in per cent: the mean over seeds and its 95 % interval (Student's t), which is one over initial "
    "weights and orders of samples, not over other test samples. Where single seeds fail it is wide and lopsided, and "
    "the lowest and the highest say more. “–”: not compared there; the section of the task says why."
)


def summary(found: Mapping[str, Any]) -> str:
    """Rules by tasks: test accuracies with their intervals, as a table in Markdown."""
    tasks = [task for task in found["tasks"] if "rows" in task]
    by_rule = [{row["rule"]: row for row in task["rows"]} for task in tasks]
    rows = [
        (rule, *(_accuracy(rows[rule]) if rule in rows else "–" for rows in by_rule))
        for rule in found["rules"]
    ]
    header = ("rule", *(cell(task["title"]) for task in tasks))
    return _table(header, [row for row in rows if {*row[1:]} != {"–"}]) if tasks else ""


def _task(task: Mapping[str, Any], rules: Iterable[str]) -> Iterator[str]:
    if task["says"]:
        yield from (task["says"], "")
    if "missing" in task:
        yield f"**Not here:** {prose(task['missing'])}."
        return
    samples = ", ".join(f"{count:,} to {_FOR[name]}" for name, count in task["samples"].items())
    over = " and ".join(
        f"{code(path)} of {code(values.replace(',', ', '))}" for path, values in task["over"].items()
    )
    yield f"Spec: [{task['spec']}]({task['spec']}). Samples: {samples}. Searched through: {over}."
    yield ""
    against = {contrast["one"]: contrast for contrast in task["contrasts"]}
    yield _table(_HEADER, [_row(row, against.get(row["rule"])) for row in task["rows"]]).rstrip("\n")
    yield ""
    lowest = dict.fromkeys(row["cosine"]["of"] for row in task["rows"] if row["cosine"])
    if lowest:
        names = " or ".join(map(code, lowest))
        yield (
            f"Cosine: of the gradient of {names}, the lowest layer that learns, with the true one, on a batch of "
            "training samples after the training; the mean over seeds. None where gradients are exact, or the "
            "true one is 0."
        )
        yield ""
    told = {*task["without"], *(row["rule"] for row in task["rows"])}
    silent = [code(rule) for rule in rules if rule not in told]
    if silent:
        yield f"- Not compared in this form of the task: {', '.join(silent)}"
    yield from (f"- {code(rule)} is not here: {prose(why)}" for rule, why in task["without"].items())
    yield from (f"- {prose(note)}" for note in task["notes"])
    yield from (f"- {HELD if claim['holds'] else FAILED} {prose(claim['text'])}" for claim in task["claims"])


_FOR = {"train": "train on", "validation": "choose by", "test": "test on"}


def _row(row: Mapping[str, Any], contrast: Mapping[str, Any] | None) -> tuple[str, ...]:
    cosine, ratio = row["cosine"], row["backward_macs_vs_backprop"]
    validation = row[VALIDATION]
    return (
        row["rule"],
        _accuracy(row),
        _range(row),
        "–" if contrast is None else _difference(contrast),
        "–" if cosine is None else f"{cosine['mean']:.2f}",
        "–" if ratio is None else f"{ratio:.2f}",
        row["weight_transport"],
        code(shown(row["settings"])) if row["settings"] else "–",
        "–" if validation is None else f"{100 * validation:.1f}",
    )


def _accuracy(row: Mapping[str, Any]) -> str:
    if row["mean"] is None:
        return "failed" if row["failed"] else "diverges"
    text, values = f"{100 * row['mean']:.1f}", row[ACCURACY]
    if row["interval"] is not None:
        text += f" ± {100 * (row['interval'][1] - row['mean']):.1f}"
    made = sum(value is not None for value in values)
    return text if made == len(values) else f"{text} ({made} of {len(values)})"


def _range(row: Mapping[str, Any]) -> str:
    values = [100 * value for value in row[ACCURACY] if value is not None]
    return f"{min(values):.1f} to {max(values):.1f}" if len(values) > 1 else "–"


def _difference(contrast: Mapping[str, Any]) -> str:
    if contrast["difference"] is None:
        return "–"
    text = f"{100 * contrast['difference']:+.1f}"
    if contrast["interval"] is None:
        return text
    low, high = (f"{100 * end:+.1f}" for end in contrast["interval"])
    return f"{text} ({low} to {high})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """With names of rules in the first column, and numbers in the others, on the right."""
    aligned = ("---", *("---:" for _ in header[1:]))
    lines = (header, aligned, *((code(name), *cells) for name, *cells in rows))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _machine(found: Mapping[str, Any]) -> str:
    made_on = dict(found["made_on"])
    processor = made_on.pop("processor")
    return f"{processor}; {', '.join(f'{name} {number}' for name, number in made_on.items())}"
