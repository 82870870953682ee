"""The feedback operators, the rules by which they learn, and the short-hands that ship."""

from fac.feedback.exact import IDENTITY, TRANSPOSE
from fac.feedback.kolen_pollack import KOLEN_POLLACK
from fac.feedback.learning import FIXED
from fac.feedback.local import LOCAL
from fac.feedback.low_rank import LOW_RANK
from fac.feedback.normative import NORMATIVE
from fac.feedback.oja import OJA
from fac.feedback.random import RANDOM
from fac.feedback.rules import BP, DFA, DIRECT_LDFA, FA, LDFA, SHALLOW

KINDS = (IDENTITY, TRANSPOSE, RANDOM, LOW_RANK)
LEARNING = (FIXED, OJA, KOLEN_POLLACK, LOCAL, NORMATIVE)
RULES = (BP, FA, DFA, LDFA, DIRECT_LDFA, SHALLOW)
