"""Pictures of a program: the forward lane, and under it how errors travel.

One topology (`topology`, `fold`) is written as text for other tools (`mmd`, `dot`), or placed by `layout` and
written as `svg`, of which `image` makes PNG and PDF.
"""

from __future__ import annotations

from fac.program.program import Program
from fac.render.graph.mmd import mermaid

FORMATS = ("svg", "png", "pdf", "dot", "mmd")
"""The suffixes that `fac show -o` takes."""


def render(program: Program, name: str) -> bytes:
    """The picture in the format of that name.

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

        return dot(shown).encode()
    from fac.render.graph import image, svg
    from fac.render.graph.layout import laid_out

    picture = laid_out(shown)
    text = svg.render(picture)
    return text.encode() if name == "svg" else image.convert(picture, text, name)


__all__ = ["FORMATS", "mermaid", "render"]
