"""The probes that ship."""

from fac.probes.activation_scale import ACTIVATION_SCALE
from fac.probes.alignment import ALIGNMENT
from fac.probes.angle import ANGLE
from fac.probes.captured import CAPTURED_ENERGY
from fac.probes.conservation import CONSERVATION
from fac.probes.effective_rank import EFFECTIVE_RANK
from fac.probes.feedback_alignment import FEEDBACK_ALIGNMENT
from fac.probes.gradient_norm import GRADIENT_NORM
from fac.probes.min_norm import MIN_NORM
from fac.probes.update_size import UPDATE_SIZE

KINDS = (
    ALIGNMENT,
    ANGLE,
    FEEDBACK_ALIGNMENT,
    CAPTURED_ENERGY,
    CONSERVATION,
    EFFECTIVE_RANK,
    ACTIVATION_SCALE,
    GRADIENT_NORM,
    UPDATE_SIZE,
    MIN_NORM,
)
