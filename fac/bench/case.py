"""What is timed: a network as a spec, and as the module that a torch user writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

LR, MOMENTUM, CLASSES = 0.01, 0.9, 10
IN = " in "
"""Between a rule and the type of its products, if that is another than the session's."""
TURNED, WAVERS = 0.06, 1e-2
"""How far products of bfloat16 may take a tensor from the same spec in float64, as sums in another order turn roundings
over, each by 2^-8; and by which part of its norm one may move that would stand still without them, as P of all
directions of an error does. From mlp-1024 to mlp-4096 two steps are at 0.01 to 0.04, two
that do not round at 0.08 to 0.1, and a weight that was left where it was at 0.1 and more, but for that of the lowest
layer, which `ldfa` hardly moves at first."""
ROUNDED, NORMED = 1e-2, 1e-1
"""How far float32 may take a tensor, and one behind norms of maps, see `Case.rounded`."""
BIASED = 1e-2
"""Of noise in the place of weights that begin at zero, as those of adapters do: products of zeros are no products."""


@dataclass(frozen=True, slots=True)
class Case:
    """One network and its batch."""

    shape: tuple[int, ...]
    """Of a sample."""
    layers: tuple[Mapping[str, Any], ...]
    """As a spec writes them, with a last layer of `CLASSES`."""
    rules: Mapping[str, Mapping[str, Any]]
    """By name the `feedback` section."""
    batch: int
    module: Callable[[], nn.Module]
    """The same network; its parameters and statistics stand in the order of the spec's layers."""
    channels_last: bool = False
    """How maps lie in memory for torch."""
    adapters: tuple[Mapping[str, Any], ...] = ()
    many: bool = False
    """Whether a step is so short that several in one call are timed, too."""
    rounded: float = ROUNDED
    """How far float32 may take a tensor from the oracle, see `deviation`; a wrong term takes it by parts of one.

    Rounding turns few of the signs that a `relu` reads, but behind norms of maps each one reaches a whole channel:
    torch's own backpropagation of a ResNet-18 is 1e-2 away after one step, and 4e-2 after two.
    """
    dense: bool = False
    """Whether layers alternate between `linear` and `relu`, which is what some peers can train."""
    adapted: bool = False
    """Whether these have adapters beside them, through which `by_hand` can take a step."""
    onnx: tuple[str, ...] = ()
    """Rules that onnxruntime is timed with, too, step by step."""
    narrow: tuple[str, ...] = ()
    """Rules that are timed with mixed precision, too: then they are called `narrowed`."""

    def tolerance(self, rule: str) -> float:
        """How far the steps of a contender may be from its oracle, relative to how far a tensor moved."""
        return TURNED if IN in rule else self.rounded

    def spec(self, rule: str) -> dict[str, Any]:
        """Of a training by SGD with momentum."""
        rule, _, narrow = rule.partition(IN)
        return {
            "fac": 1,
            "name": "bench",
            "input": {"shape": list(self.shape)},
            "layers": [*self.layers, {"kind": "linear", "name": "logits", "out": CLASSES}],
            "adapters": list(self.adapters),
            "loss": {"kind": "cross_entropy"},
            "feedback": self.rules[rule],
            "update": {"rule": "sgd", "lr": LR, "momentum": MOMENTUM},
            "train": {"batch": self.batch} | ({"mixed_precision": narrow} if narrow else {}),
        }

    def batches(self, count: int, dtype: str) -> list[tuple[Any, Any]]:
        """Noise with labels: what is in a batch does not change how long a step takes."""
        rng = np.random.default_rng(0)
        return [
            (
                rng.standard_normal((self.batch, *self.shape)).astype(dtype),
                rng.integers(0, CLASSES, self.batch),
            )
            for _ in range(count)
        ]


def narrowed(rule: str) -> str:
    """What a rule is called whose products are of bfloat16."""
    return f"{rule}{IN}bfloat16"


def rules(rank: int) -> dict[str, dict[str, Any]]:
    """The rules of all cases. Factors of `ldfa` learn, those of `ldfa_fixed` do not."""
    return {
        "bp": {"rule": "bp"},
        "fa": {"rule": "fa"},
        "dfa": {"rule": "dfa"},
        "direct_ldfa": {"rule": "direct_ldfa", "rank": rank},
        "ldfa_fixed": {"rule": "ldfa", "rank": rank, "learn": "fixed"},
        "ldfa": {"rule": "ldfa", "rank": rank},
    }
