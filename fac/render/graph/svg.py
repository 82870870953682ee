"""A picture as SVG: no scripts, no outside fonts; light or dark as the reader's system is."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import pairwise

from fac.escaping import xml
from fac.render.graph.parallel import doubled
from fac.render.graph.pens import GAP, TONES, Pen
from fac.render.graph.picture import Area, Box, Label, Picture, Point, Raster, Rect, Wire, Words

FACE = "Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"
LOOKS = {
    "layer": ("box", "edge", ""),
    "end": ("paper", "edge", ""),
    "frozen": ("ice", "value", "3 3"),
    "starved": ("paper", "alarm", ""),
    "error": ("paper", "ink", ""),
    "subspace": ("paper", "subspace", ""),
    "targets": ("paper", "edge", ""),
    "missing": ("paper", "alarm", "4 3"),
    "group": ("", "quiet", "5 4"),
}
"""Fill, border and dash of the boxes."""
BASELINE = 0.36
"""From the middle of a line of text to its baseline, in sizes."""
STACK = 5.0


def render(picture: Picture, light: bool = False, *, inline: bool = False, zoom: float = 1.0) -> str:
    """The text of the file.

    Args:
        picture: what is drawn.
        light: whatever the reader's setting.
        inline: as a part of a page, whose style has `colours`.
        zoom: by which it is shown larger than its units are.
    """
    body = [
        *_boxes([box for box in picture.boxes if box.look == "group"]),
        *map(_area, picture.areas),
        *map(_raster, picture.rasters),
        *(part for wire in picture.wires for part in _wire(wire)),
        *_boxes([box for box in picture.boxes if box.look != "group"]),
        *(part for label in picture.labels for part in _label(label)),
    ]
    size = f'width="{_n(zoom * picture.width)}" height="{_n(zoom * picture.height)}"'
    ground = f'<rect class="f-paper" width="{_n(picture.width)}" height="{_n(picture.height)}" rx="6"/>'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {_n(picture.width)} {_n(picture.height)}" role="img" '
            f'aria-label="{xml(f"{picture.name}: {picture.summary}")}" class="fac">',
            f"<title>{xml(picture.name)}</title>",
            f"<desc>{xml(picture.story)}</desc>",
            *([] if inline else [f"<style>{_style(body, light)}</style>"]),
            *([] if picture.bare or inline else [ground]),
            *body,
            "</svg>\n",
        )
    )


def colours() -> str:
    """Style sheet of pages that hold pictures: tones are variables of the page, such as `--ink`."""
    tones = (f".fac .f-{tone}{{fill:var(--{tone})}}.fac .s-{tone}{{stroke:var(--{tone})}}" for tone in TONES)
    return f".fac text{{font-family:{FACE}}}{''.join(tones)}"


def variables(dark: bool) -> str:
    """What the tones are on light or on dark ground."""
    return "".join(f"--{tone}:{found[dark]};" for tone, found in TONES.items())


def _style(body: list[str], light: bool) -> str:
    used = " ".join(body)
    rules = [f".fac text{{font-family:{FACE}}}"]
    for ground in (0, 1):
        found = [
            f".fac .{kind}-{tone}{{{what}:{colours[ground]}}}"
            for tone, colours in TONES.items()
            for kind, what in (("f", "fill"), ("s", "stroke"))
            if f"{kind}-{tone}" in used or (kind, tone) == ("f", "paper")
        ]
        rules.append("".join(found))
    dark = "" if light else f"\n@media (prefers-color-scheme: dark){{{rules[2]}}}"
    return f"{rules[0]}\n{rules[1]}{dark}"


def _boxes(boxes: Iterable[Box]) -> Iterator[str]:
    for box in boxes:
        fill, border, dash = LOOKS[box.look]
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        drawn = f'class="{f"f-{fill} " if fill else ""}s-{border}"{dashed}'
        drawn += "" if fill else ' fill="none"'
        radius = box.rect.height / 2 if box.look == "error" else 6
        yield "<g>"
        if box.title:
            yield f"<title>{xml(box.title)}</title>"
        for shift in (STACK, STACK / 2) if box.stacked else ():
            yield _rect(box.rect, radius, drawn, shift)
        yield _open(box, drawn) if box.opens else _rect(box.rect, radius, drawn, 0)
        step = 15.0
        y = box.rect.y + box.rect.height / 2 - step * (len(box.words) - 1) / 2
        for line in box.words:
            yield _words(line, box.rect.x + box.rect.width / 2, y + BASELINE * line.size, "middle")
            y += step
        yield "</g>"


def _rect(rect: Rect, radius: float, drawn: str, shift: float) -> str:
    return (
        f'<rect x="{_n(rect.x + shift)}" y="{_n(rect.y - shift)}" width="{_n(rect.width)}" '
        f'height="{_n(rect.height)}" rx="{_n(radius)}" {drawn}/>'
    )


def _open(box: Box, drawn: str) -> str:
    """A frame without its left or its right side."""
    rect = box.rect
    (left, right), (top, bottom) = (rect.x, rect.right), (rect.y, rect.bottom)
    sides = [] if "l" in box.opens else [((left, top), (left, bottom))]
    sides += [] if "r" in box.opens else [((right, top), (right, bottom))]
    lines = *sides, ((left, top), (right, top)), ((left, bottom), (right, bottom))
    return f'<path d="{"".join(map(_path, lines))}" {drawn}/>'


def _area(area: Area) -> str:
    return f'<path d="{_path(area.corners)}Z" class="f-{area.tone}" fill-opacity="{area.opacity}"/>'


def _raster(raster: Raster) -> str:
    rect, title = raster.rect, f"<title>{xml(raster.title)}</title>" if raster.title else ""
    return (
        f'<image x="{_n(rect.x)}" y="{_n(rect.y)}" width="{_n(rect.width)}" height="{_n(rect.height)}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{b64encode(raster.png).decode()}">{title}</image>'
    )


def _wire(wire: Wire) -> Iterator[str]:
    pen = wire.pen
    lines = doubled(wire.lines, (pen.total + GAP) / 4) if pen.double else wire.lines
    path = "".join(map(_path, lines))
    yield "<g>"
    if wire.title:
        yield f"<title>{xml(wire.title)}</title>"
    yield _stroke(path, pen.tone, pen)
    for tip, way in wire.tips:
        yield f'<path d="{_tip(tip, way, pen.total)}" class="f-{pen.tone}"/>'
    for x, y in wire.dots:
        yield f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(max(3.2, pen.width))}" class="f-{pen.tone}"/>'
    yield "</g>"


def _stroke(path: str, tone: str, pen: Pen) -> str:
    # Square ends close the corners where the lines of a bus meet.
    dash = f' stroke-dasharray="{pen.dash}"' if pen.dash else "" if pen.double else ' stroke-linecap="square"'
    return (
        f'<path d="{path}" fill="none" class="s-{tone}" stroke-width="{_n(pen.width / (1 + pen.double))}" '
        f'stroke-linejoin="round"{dash}/>'
    )


def _path(points: tuple[Point, ...]) -> str:
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for (x, y), (u, v) in pairwise(points):
        parts.append(f"H{_n(u)}" if y == v else f"V{_n(v)}" if x == u else f"L{_n(u)} {_n(v)}")
    return "".join(parts)


def _tip(tip: Point, way: str, thick: float) -> str:
    x, y = tip
    half, long = 3.2 + thick / 3, 8.0
    corners = {
        "r": ((-long, -half), (-long, half)),
        "l": ((long, -half), (long, half)),
        "u": ((-half, long), (half, long)),
        "d": ((-half, -long), (half, -long)),
    }[way]
    rest = "".join(f"L{_n(x + dx)} {_n(y + dy)}" for dx, dy in corners)
    return f"M{_n(x)} {_n(y)}{rest}Z"


def _label(label: Label) -> Iterator[str]:
    rect = label.rect
    step = rect.height / max(1, len(label.words))
    x = {"start": rect.x, "middle": rect.x + rect.width / 2, "end": rect.right}[label.align]
    if label.title:
        yield f"<g><title>{xml(label.title)}</title>"
    for i, line in enumerate(label.words):
        yield _words(line, x, rect.y + step * (i + 0.5) + BASELINE * line.size, label.align)
    if label.title:
        yield "</g>"


def _words(line: Words, x: float, y: float, align: str) -> str:
    anchor = "" if align == "start" else f' text-anchor="{align}"'
    bold = ' font-weight="bold"' if line.bold else ""
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(line.size)}" class="f-{line.tone}"{anchor}{bold}>'
        f"{_raised(line)}</text>"
    )


def _raised(line: Words) -> str:
    """The text with a T above the line in place of the letter that few fonts have."""
    up, size = _n(0.35 * line.size), _n(0.7 * line.size)
    first, *rest = xml(line.text).split("Wᵀ")
    raised = f'W<tspan dy="-{up}" font-size="{size}">T</tspan>'
    return first + "".join(raised + (f'<tspan dy="{up}">{part}</tspan>' if part else "") for part in rest)


def _n(value: float) -> str:
    """At most one decimal."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")
