"""Which networks of torchvision, timm and transformers `fac import` reads: the table of docs/importing.md.

    python benchmarks/import_zoo.py [NAME...]

It needs these packages, which the tests do not. Weights are random; nothing is downloaded.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch

from fac import FacError, from_torch
from fac.backend import STEP
from fac.importing import Imported, NotImportedError
from fac.importing.returning import state_dict
from fac.pipeline import lowered

Shape = tuple[int, ...]


def torchvision(name: str) -> Any:
    """A network of `torchvision.models`."""
    _declare_operators()
    return getattr(import_module("torchvision.models"), name)(weights=None)


def timm(name: str) -> Any:
    """A network of `timm`, which imports torchvision."""
    _declare_operators()
    return import_module("timm").create_model(name, pretrained=False)


def gpt2(name: str) -> Any:
    """A small GPT-2 that returns its logits alone."""
    _declare_operators()
    transformers = import_module("transformers")
    config = transformers.GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=32,
        n_layer=2,
        n_head=4,
        use_cache=False,
    )
    return Logits(transformers.GPT2LMHeadModel(config))


class Logits(torch.nn.Module):
    """Of what a language model returns the logits."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """[N, T] -> [N, T, words]."""
        logits: torch.Tensor = self.model(tokens).logits
        return logits


MODELS: Mapping[str, tuple[Callable[[str], Any], Shape]] = {
    "mobilenet_v3_small": (torchvision, (3, 64, 64)),
    "resnet18": (torchvision, (3, 64, 64)),
    "densenet121": (torchvision, (3, 64, 64)),
    "efficientnet_b0": (timm, (3, 64, 64)),
    "resnet26": (timm, (3, 64, 64)),
    "resnet50": (torchvision, (3, 64, 64)),
    "vit_tiny_patch16_224": (timm, (3, 224, 224)),
    "mixer_s32_224": (timm, (3, 224, 224)),
    "convnext_tiny": (torchvision, (3, 64, 64)),
    "vgg11_bn": (torchvision, (3, 32, 32)),
    "vit_b_16": (torchvision, (3, 224, 224)),
    "gpt2": (gpt2, (16,)),
}
WORDS = {"gpt2": 50}


def _declare_operators() -> None:
    """A torchvision whose own operators are not there asks for two of them when it is imported."""
    if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(signature)  # type: ignore[no-untyped-call]
        KEPT.append(library)


KEPT: list[Any] = []


def row(name: str) -> str:
    """A line of the table."""
    make, shape = MODELS[name]
    torch.manual_seed(0)
    module = make(name)
    start = time.perf_counter()
    size = "x".join(map(str, shape))
    try:
        found = from_torch(module, shape, classes=WORDS.get(name), name=name)
    except NotImportedError as error:
        needs = dict.fromkeys(f"`{item.op}`: {item.need}" for item in error.refused)
        return f"| `{name}` ({make.__name__}) | {size} | refused: {'; '.join(needs)} |"
    except FacError as error:
        return f"| `{name}` ({make.__name__}) | {size} | refused: {error} |"
    require_keys(module, found)
    return f"| `{name}` ({make.__name__}) | {size} | {told(found)} ({time.perf_counter() - start:.0f} s) |"


def require_keys(module: torch.nn.Module, found: Imported) -> None:
    """What goes back has to be the module's own `state_dict`, key by key and number by number.

    Raises:
        AssertionError: it is not.
    """
    given = state_dict(lowered(found.spec), {**found.state, STEP: np.array(0)}, "float32")
    own = module.state_dict()
    module.load_state_dict({key: torch.from_numpy(array) for key, array in given.items()}, strict=True)
    wrong = [key for key in own if not np.array_equal(own[key].numpy(), given[key])]
    if wrong or own.keys() != given.keys():
        raise AssertionError(f"other arrays came back: {wrong}, {own.keys() ^ given.keys()}")


def told(found: Imported) -> str:
    """What was imported, and how far it is from the module."""
    parts = (f"{part} {deviation.share:.0e}" for part, deviation in found.proof.parts.items())
    return f"{len(lowered(found.spec).nodes)} layers, {found.proof.parameters} parameters; {', '.join(parts)}"


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        print(row(name), flush=True)
