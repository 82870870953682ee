"""The probes that ship."""

from fac.probes.alignment import ALIGNMENT
from fac.probes.captured import CAPTURED_ENERGY
from fac.probes.conservation import CONSERVATION
from fac.probes.feedback_alignment import FEEDBACK_ALIGNMENT

KINDS = (ALIGNMENT, FEEDBACK_ALIGNMENT, CAPTURED_ENERGY, CONSERVATION)
