"""The feedback operators, the rules by which they learn, and the short-hands that ship."""

from fac.feedback.exact import IDENTITY, TRANSPOSE, Identity, Transpose
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
    SHALLOW,
    Backprop,
    DirectFeedbackAlignment,
    DirectLdfa,
    FeedbackAlignment,
    Ldfa,
    Shallow,
)
from fac.spec.feedback import Fixed, Routing, Subspace, ThroughRoute, ToRoute

__all__ = [
    "KINDS",
    "LEARNING",
    "RULES",
    "Backprop",
    "DirectFeedbackAlignment",
    "DirectLdfa",
    "FeedbackAlignment",
    "Fixed",
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
    "Subspace",
    "ThroughRoute",
    "ToRoute",
    "Transpose",
]

KINDS = (IDENTITY, TRANSPOSE, RANDOM, LOW_RANK)
LEARNING = (FIXED, OJA, KOLEN_POLLACK, LOCAL, NORMATIVE)
RULES = (BP, FA, DFA, LDFA, DIRECT_LDFA, SHALLOW)
