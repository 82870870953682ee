"""The feedback operators, the rules by which they learn, and the short-hands that ship."""

from fac.feedback.baselines import FROZEN, SHALLOW, Frozen, Shallow
from fac.feedback.exact import IDENTITY, TRANSPOSE, Identity, Transpose
from fac.feedback.forward_gradient import FORWARD_GRADIENT, ForwardGradient
from fac.feedback.kolen_pollack import KOLEN_POLLACK, KolenPollack
from fac.feedback.learning import FIXED
from fac.feedback.local import LOCAL, Local
from fac.feedback.low_rank import LOW_RANK, LowRank
from fac.feedback.normative import NORMATIVE, Normative
from fac.feedback.oja import OJA, Oja
from fac.feedback.random import RANDOM, Random
from fac.feedback.rules import (
    BP,
    DFA,
    DIRECT_LDFA,
    FA,
    LDFA,
    Backprop,
    DirectFeedbackAlignment,
    DirectLdfa,
    FeedbackAlignment,
    Ldfa,
)
from fac.feedback.sign import SIGN, Sign
from fac.feedback.sign_rules import BRSF, FRSF, USF, BatchwiseSign, FixedSign, UniformSign
from fac.feedback.target_projection import DRTP, TargetProjection
from fac.feedback.weight_mirror import WEIGHT_MIRROR, WeightMirror
from fac.spec.feedback import Fixed, Routing, Subspace, ThroughRoute, ToRoute

__all__ = [
    "KINDS",
    "LEARNING",
    "RULES",
    "Backprop",
    "BatchwiseSign",
    "DirectFeedbackAlignment",
    "DirectLdfa",
    "FeedbackAlignment",
    "Fixed",
    "FixedSign",
    "ForwardGradient",
    "Frozen",
    "Identity",
    "KolenPollack",
    "Ldfa",
    "Local",
    "LowRank",
    "Normative",
    "Oja",
    "Random",
    "Routing",
    "Shallow",
    "Sign",
    "Subspace",
    "TargetProjection",
    "ThroughRoute",
    "ToRoute",
    "Transpose",
    "UniformSign",
    "WeightMirror",
]

KINDS = (IDENTITY, TRANSPOSE, RANDOM, LOW_RANK, SIGN)
LEARNING = (FIXED, OJA, KOLEN_POLLACK, LOCAL, NORMATIVE, WEIGHT_MIRROR, FORWARD_GRADIENT)
RULES = (BP, FA, USF, FRSF, BRSF, DFA, DRTP, LDFA, DIRECT_LDFA, SHALLOW, FROZEN)
