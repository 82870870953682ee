"""The ops of the step IR by name. A family lists its members in its own file."""

from fac.step.ops.activations import ACTIVATIONS
from fac.step.ops.attention import ATTENTION
from fac.step.ops.base import OpDef
from fac.step.ops.contractions import CONTRACTIONS
from fac.step.ops.convolution import CONVOLUTION
from fac.step.ops.elementwise import ELEMENTWISE
from fac.step.ops.host import HOST
from fac.step.ops.integers import INTEGERS
from fac.step.ops.losses import LOSSES
from fac.step.ops.normalization import NORMALIZATION
from fac.step.ops.norms import NORMS
from fac.step.ops.orthogonal import ORTHOGONAL
from fac.step.ops.parts import PARTS
from fac.step.ops.pools import POOLS
from fac.step.ops.resampling import RESAMPLING
from fac.step.ops.rounding import ROUNDING
from fac.step.ops.rows import ROWS
from fac.step.ops.shapes import SHAPES
from fac.step.ops.softmax import SOFTMAX
from fac.step.ops.sparse import SPARSE
from fac.step.ops.units import UNITS

OPS: dict[str, OpDef] = {
    definition.name: definition
    for family in (
        *(ELEMENTWISE, ACTIVATIONS, UNITS, CONTRACTIONS, SHAPES, NORMS, SOFTMAX, LOSSES, INTEGERS),
        *(PARTS, POOLS, RESAMPLING, CONVOLUTION, NORMALIZATION, ROUNDING),
        *(ROWS, SPARSE, ATTENTION, ORTHOGONAL, HOST),
    )
    for definition in family
}
