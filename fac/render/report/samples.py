"""What trained networks do on test samples: which class is taken for which, and where they are most wrong."""

from __future__ import annotations

from base64 import b64encode

from fac.escaping import html as text
from fac.render.report import parts
from fac.render.report.facts import Book, Measured, Setting, Worst

WHOLE = 30
"""Classes up to which the matrix is shown; of more a line for each of those that are found least."""
SHADE = 45
"""Per cent of colour in the cell of all samples of a class: on dark ground, too, its number can be read."""


def confusions(name: str, title: str, book: Book) -> str:
    """A matrix for each setting that was measured; or why there is none."""
    shown = [
        parts.opens(setting.label, _confusion(setting.measured), now=i == 0)
        for i, setting in enumerate(_measured(book))
        if setting.measured is not None
    ]
    return parts.section(name, title, *shown, parts.notes(_why_not(book)))


def worst(name: str, title: str, book: Book) -> str:
    """Pictures of samples for each setting that was measured."""
    shown = [
        f"<h3>{text(setting.label)}</h3>"
        f'<p class="quiet">{text(f"of {found.samples:,} test samples, by {found.run}")}</p>'
        f'<div class="samples">{"".join(map(_sample, found.worst))}</div>'
        for setting in _measured(book)
        if (found := setting.measured) is not None and found.worst
    ]
    return parts.section(name, title, *shown, "" if shown else parts.notes(_why_not(book)))


def _measured(book: Book) -> list[Setting]:
    return [setting for setting in book.settings if setting.measured is not None]


def _why_not(book: Book) -> list[str]:
    """What is not there, by reason."""
    found: dict[str, list[str]] = {}
    for setting in book.settings:
        if setting.unmeasured:
            found.setdefault(setting.unmeasured, []).append(setting.label)
    every = len(book.settings)
    return [
        why if len(labels) == every else f"{', '.join(f'`{label}`' for label in labels)}: {why}"
        for why, labels in found.items()
    ]


def _confusion(found: Measured) -> str:
    means = ", ".join(
        f"{key} {100 * value:.2f} %" if key.endswith("accuracy") else f"{key} {value:.4g}"
        for key, value in found.means.items()
    )
    told = f'<p class="quiet">{text(f"{found.run} on {found.samples:,} test samples: {means}")}</p>'
    if not found.confusion and not found.classes:
        return told + parts.notes(["it does not classify"])
    if not found.confusion or len(found.confusion) > WHOLE:
        caption = f"{len(found.classes)} classes that are found least"
        return told + parts.table(caption, found.header, found.classes)
    names = [found.names[i] if i < len(found.names) else str(i) for i in range(len(found.confusion))]
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{text(name)}</th>{_cells(row, number)}</tr>'
        for number, (name, row) in enumerate(zip(names, found.confusion, strict=True))
    )
    caption = "Rows: what samples are. Columns: what the network names. Each cell counts samples."
    return (
        f'{told}<div class="wide"><table class="matrix"><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">label</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cells(row: object, label: int) -> str:
    assert isinstance(row, list | tuple)
    whole = max(sum(row), 1)
    return "".join(
        f'<td{" class=right" * (i == label)} style="--s:{SHADE * value / whole:.0f}%">{value}</td>'
        for i, value in enumerate(row)
    )


def _sample(found: Worst) -> str:
    told = ": ".join(filter(None, (f"sample {found.number}", found.about)))
    image = ""
    if found.png is not None:
        image = f'<img alt="{text(told)}" src="data:image/png;base64,{b64encode(found.png).decode()}">'
    return f"<figure>{image}<figcaption>{text(f'{told}, loss {found.loss:.3g}')}</figcaption></figure>"
