"""The cases by name. A new one is a function in a file of this folder, and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from fac.bench.case import Case

RULES = ("bp", "fa", "dfa", "direct_ldfa", "ldfa_fixed", "ldfa")
"""Of which a case may lack some: where all that is frozen is passed by low rank, there is no `dfa`."""
QUICK = ("mlp-1024",)
"""What is timed where no case is named."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a case is made; to say what it is imports nothing."""

    says: str
    module: str
    arguments: tuple[int | str, ...] = ()


CASES: dict[str, Entry] = {
    "mlp-64": Entry("784-64-64-64-64-10, relu, batch 32", "dense", (64, 32)),
    "mlp-256": Entry("784-256-256-256-256-10, relu, batch 128", "dense", (256, 128)),
    "mlp-512": Entry("784-512-512-512-512-10, relu, batch 128", "dense", (512, 128)),
    "mlp-1024": Entry("784-1024-1024-1024-1024-10, relu, batch 128", "dense", (1024, 128)),
    "mlp-2048": Entry("784-2048-2048-2048-2048-10, relu, batch 128", "dense", (2048, 128)),
    "mlp-4096": Entry("784-4096-4096-4096-4096-10, relu, batch 128", "dense", (4096, 128)),
    "conv3": Entry(
        "3 convolutions of 64 to 128 channels on 3 x 32 x 32, max pools, batch 64", "plain_maps", ("conv3",)
    ),
    "conv3-norm": Entry("conv3 with batch norm, batch 64", "plain_maps", ("conv3", True)),
    "vgg8": Entry(
        "8 convolutions of 64 to 512 channels on 3 x 32 x 32, max pools, batch 64", "plain_maps", ("vgg8",)
    ),
    "vgg8-norm": Entry("vgg8 with batch norm, batch 64", "plain_maps", ("vgg8", True)),
    "resnet18": Entry("ResNet-18 with a stem for 3 x 32 x 32, batch norm, batch 32", "residual_maps"),
    "vit": Entry("2 blocks of a vision transformer, 384 wide, 6 heads, 64 tokens, batch 64", "tokens"),
    "feed": Entry("2 feed-forward blocks, 384-768-384, on 64 tokens, batch 64", "tokens", (384, 0, 2)),
    "lora-2048": Entry("784-2048-2048-2048-2048-10, frozen, LoRA of rank 8, batch 128", "adapted", (2048,)),
    "lora-4096": Entry("784-4096-4096-4096-4096-10, frozen, LoRA of rank 8, batch 128", "adapted", (4096,)),
    "lora-vit": Entry(
        "2 blocks of 384-768-384, 8 heads, frozen, LoRA of rank 8, 64 tokens, batch 64", "adapted_tokens"
    ),
}


def made(name: str) -> tuple[Case, Case]:
    """A case, and the same kind of network so small that NumPy takes no time for it.

    Raises:
        KeyError: there is none of that name.
    """
    entry = CASES[name]
    module = import_module(f"fac.bench.cases.{entry.module}")
    found: tuple[Case, Case] = module.case(*entry.arguments), module.small(*entry.arguments)
    return found
