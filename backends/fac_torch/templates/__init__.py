"""One line of torch per statement, by the kind of the op or of the kernel that stands for several.

To add one: `"kind": Template(lambda line: f"torch.name({line.given})")` in the file of its family, and a family in
the tuple below. `line.arguments` are the operands as they are written, `line["axes"]` is an attribute, `line.shape` the
shape of the result. The second argument says where the result lives, once for the whole backend: `Memory.OUT` if the
call has `out=` (the emitter writes it), `Memory.OVER` if that may be an operand (elementwise), `Memory.VIEW` if the
result may be a view of the first operand, `Memory.PART` if it is one of a part of it; `Memory.FRESH`, the default, if
torch allocates it. `by_strides=True` says that operands may have gaps between their rows. What takes more than a call
of torch is a function of `kernels.py`: `kernel("name", "attribute", ...)`.

`Order.LAST` says that the kernel wants maps with their channels last; `maps.py` finds out which values that makes so.
A kernel with several results stands in `together.py`, its template here: the call makes a tuple in their order.
"""

from __future__ import annotations

from fac_torch.templates.attention import ATTENTION
from fac_torch.templates.base import Line, Memory, Order, Template
from fac_torch.templates.convolution import CONVOLUTION
from fac_torch.templates.elementwise import ELEMENTWISE
from fac_torch.templates.losses import LOSSES
from fac_torch.templates.maps import MAPS
from fac_torch.templates.measures import MEASURES
from fac_torch.templates.normalization import NORMALIZATION
from fac_torch.templates.products import PRODUCTS
from fac_torch.templates.shapes import SHAPES
from fac_torch.templates.updates import UPDATES

__all__ = ["TEMPLATES", "Line", "Memory", "Order", "Template"]

TEMPLATES: dict[str, Template] = {
    kind: template
    for family in (
        ELEMENTWISE,
        PRODUCTS,
        CONVOLUTION,
        SHAPES,
        MAPS,
        NORMALIZATION,
        ATTENTION,
        LOSSES,
        MEASURES,
        UPDATES,
    )
    for kind, template in family.items()
}
