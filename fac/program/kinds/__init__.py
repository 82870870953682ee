"""What a plug-in declares. The core's own kinds are declared in the same way, in the folder of their family.

What a kind reads, and so whether it transports weights or draws random numbers, is no declaration:
`fac.program.reading` finds it. What is declared here and cannot be found so, `fac.testing.declarations` holds.
"""

from fac.program.counted import Sight
from fac.program.kinds.base import Kind, ShapeError, State, Unused
from fac.program.kinds.counterparts import Counterpart, NoCounterpartError, Seen, same
from fac.program.kinds.feedback import Expansion, Learned, LearningKind, MatrixKind, RuleKind, Signals
from fac.program.kinds.layers import LAST, BlockKind, Facts, Inside, LayerKind, Made, Mode
from fac.program.kinds.losses import LossKind, Unsettled
from fac.program.kinds.probes import Memory, ProbeKind, Sweeps
from fac.program.kinds.schedules import Flat, ScheduleKind
from fac.program.kinds.solve import Back, Inverse, Passing, SolveKind, Unsolvable
from fac.program.kinds.updates import Descent, Updated, UpdateKind

__all__ = [
    "LAST",
    "Back",
    "BlockKind",
    "Counterpart",
    "Descent",
    "Expansion",
    "Facts",
    "Flat",
    "Inside",
    "Inverse",
    "Kind",
    "LayerKind",
    "Learned",
    "LearningKind",
    "LossKind",
    "Made",
    "MatrixKind",
    "Memory",
    "Mode",
    "NoCounterpartError",
    "Passing",
    "ProbeKind",
    "RuleKind",
    "ScheduleKind",
    "Seen",
    "ShapeError",
    "Sight",
    "Signals",
    "SolveKind",
    "State",
    "Sweeps",
    "Unsettled",
    "Unsolvable",
    "Unused",
    "UpdateKind",
    "Updated",
    "same",
]
