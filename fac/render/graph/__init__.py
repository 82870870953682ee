"""Pictures of a program: the forward lane, and under it how errors travel.

One topology (`topology`, `fold`) is written as text for other tools (`mmd`, `dot`), or placed by `layout` and
written as `svg`, of which `image` makes PNG and PDF.
"""

from __future__ import annotations

from fac.program.program import Program
from fac.render.graph.mmd import mermaid

FORMATS = ("svg", "png", "pdf", "dot", "mmd")
"""The suffixes that `fac show -o` takes."""


def render(program: Program, name: str, *, bare: bool = False, light: bool = False) -> bytes:
    """The picture of a program, finished or not.

    Args:
        program: with or without findings.
        name: one of `FORMATS`.
        bare: without title, legend and ground; Mermaid text has none of them.
        light: SVG that stays light where its reader's setting is dark. The other formats are light.

    Raises:
        FacError: PNG and PDF need a package that is not installed, or the picture is too large for them.
    """
    from fac.render.graph.fold import folded
    from fac.render.graph.read import topology

    if name == "mmd":
        return mermaid(program).encode()
    shown = folded(topology(program))
    if name == "dot":
        from fac.render.graph.dot import dot

        return dot(shown, bare).encode()
    from fac.render.graph import image, svg
    from fac.render.graph.layout import laid_out

    picture = laid_out(shown, bare)
    text = svg.render(picture, light)
    return text.encode() if name == "svg" else image.convert(picture, text, name)


__all__ = ["FORMATS", "mermaid", "render"]
