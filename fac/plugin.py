"""What a plug-in is written with: all that it needs of `fac`, in one place, and nothing private.

A file of one's own imports from here, declares kinds, and lists them as `KINDS`. `fac check --plugin FILE.py` finds
them, or an entry point does; see CONTRIBUTING.md.
"""

from fac.backend import Solved, Solving
from fac.diagnostics import FacError
from fac.feedback.rules import below_weights, direct, layerwise, through, to
from fac.layers.elementwise import infer as same_shape
from fac.layers.inputs import branches, channels, only, tokens
from fac.plugins import load
from fac.program.kinds import (
    LAST,
    Back,
    BlockKind,
    Descent,
    Expansion,
    Facts,
    Flat,
    Inside,
    Inverse,
    LayerKind,
    Learned,
    LearningKind,
    LossKind,
    Made,
    MatrixKind,
    Memory,
    Mode,
    Passing,
    ProbeKind,
    RuleKind,
    ScheduleKind,
    ShapeError,
    Sight,
    Signals,
    SolveKind,
    State,
    Sweeps,
    Unsettled,
    Unsolvable,
    Unused,
    Updated,
    UpdateKind,
)
from fac.program.lower import selected
from fac.program.program import LOSS, Ends, Node, Program, Shape
from fac.program.reading import ways
from fac.program.tensors import Role, Tensor
from fac.program.traits import Curve, Traits
from fac.spec.data import Data, Place
from fac.spec.feedback import AnyLearning, AnyMatrix, Fixed, Learning, Matrix, ShortHand
from fac.spec.init import Init, Normal, Uniform
from fac.spec.layers import Layer, Loss, Named, ParametricLayer, WeightedLayer
from fac.spec.loggers import Logger
from fac.spec.schedules import Epochs, Schedule
from fac.spec.solve import Solve
from fac.spec.train import Probe
from fac.spec.updates import Rule
from fac.step.builder import Builder
from fac.step.feed import Feed
from fac.step.hosted import on_host
from fac.step.ir import Phase, Value
from fac.step.labelled import Labelled
from fac.step.types import DType
from fac.training.dataset import DataKind, Dataset, Split
from fac.training.dataset import Facts as DataFacts
from fac.training.loggers.kind import About, Log, LoggerKind

__all__ = [
    "LAST",
    "LOSS",
    "About",
    "AnyLearning",
    "AnyMatrix",
    "Back",
    "BlockKind",
    "Builder",
    "Curve",
    "DType",
    "Data",
    "DataFacts",
    "DataKind",
    "Dataset",
    "Descent",
    "Ends",
    "Epochs",
    "Expansion",
    "FacError",
    "Facts",
    "Feed",
    "Fixed",
    "Flat",
    "Init",
    "Inside",
    "Inverse",
    "Labelled",
    "Layer",
    "LayerKind",
    "Learned",
    "Learning",
    "LearningKind",
    "Log",
    "Logger",
    "LoggerKind",
    "Loss",
    "LossKind",
    "Made",
    "Matrix",
    "MatrixKind",
    "Memory",
    "Mode",
    "Named",
    "Node",
    "Normal",
    "ParametricLayer",
    "Passing",
    "Phase",
    "Place",
    "Probe",
    "ProbeKind",
    "Program",
    "Role",
    "Rule",
    "RuleKind",
    "Schedule",
    "ScheduleKind",
    "Shape",
    "ShapeError",
    "ShortHand",
    "Sight",
    "Signals",
    "Solve",
    "SolveKind",
    "Solved",
    "Solving",
    "Split",
    "State",
    "Sweeps",
    "Tensor",
    "Traits",
    "Uniform",
    "Unsettled",
    "Unsolvable",
    "Unused",
    "UpdateKind",
    "Updated",
    "Value",
    "WeightedLayer",
    "below_weights",
    "branches",
    "channels",
    "direct",
    "layerwise",
    "load",
    "on_host",
    "only",
    "same_shape",
    "selected",
    "through",
    "to",
    "tokens",
    "ways",
]
