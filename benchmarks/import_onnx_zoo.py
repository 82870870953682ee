"""Which networks of torchvision and timm `fac import onnx` reads as PyTorch exports them, for docs/importing.md.

    python benchmarks/import_onnx_zoo.py [NAME:EXPORTER...]

It needs these packages, and onnxscript for the exporter `dynamo`; the tests need none of them. Weights are random.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.import_zoo import Shape, timm, torchvision
from fac import FacError, from_onnx
from fac.importing import NotImportedError
from fac.pipeline import lowered

MODELS: Mapping[str, tuple[Any, Shape]] = {
    **dict.fromkeys(
        ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "densenet121", "shufflenet_v2_x0_5"),
        (torchvision, (3, 64, 64)),
    ),
    **dict.fromkeys(
        ("squeezenet1_1", "regnet_y_400mf", "convnext_tiny", "googlenet", "swin_t"),
        (torchvision, (3, 64, 64)),
    ),
    "vit_b_16": (torchvision, (3, 224, 224)),
    **dict.fromkeys(
        ("efficientnet_b0", "ghostnet_050", "resnetv2_50", "nfnet_l0", "pvt_v2_b0", "poolformer_s12"),
        (timm, (3, 64, 64)),
    ),
    **dict.fromkeys(("edgenext_xx_small",), (timm, (3, 64, 64))),
    **dict.fromkeys(
        ("vit_tiny_patch16_224", "mixer_s32_224", "gmlp_s16_224", "resmlp_12_224", "levit_128s"),
        (timm, (3, 224, 224)),
    ),
}
EXPORTERS: Mapping[str, dict[str, Any]] = {
    "script": {"dynamo": False, "opset_version": 17},
    "dynamo": {"dynamo": True, "opset_version": 20},
    "fixed": {"dynamo": False, "opset_version": 17},
    "unfolded": {
        "dynamo": False,
        "opset_version": 17,
        "training": torch.onnx.TrainingMode.PRESERVE,
        "do_constant_folding": False,
    },
}
"""`fixed` exports one sample, and so a batch of 1."""


def exported(name: str, exporter: str, path: Path) -> Shape:
    """Write a network as ONNX, and say what it reads."""
    make, shape = MODELS[name]
    torch.manual_seed(0)
    module, fixed = make(name).eval(), exporter == "fixed"
    settings = dict(EXPORTERS[exporter])
    if settings["dynamo"]:
        settings |= {
            "dynamic_shapes": ({0: torch.export.Dim("N")},),
            "external_data": False,
            "verbose": False,
        }
    elif not fixed:
        settings |= {"dynamic_axes": {"input": {0: "N"}, "output": {0: "N"}}}
    x = torch.zeros(1 if fixed else 2, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, input_names=["input"], output_names=["output"], **settings)
    return shape


def row(name: str, exporter: str) -> str:
    """A line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        size = "x".join(map(str, exported(name, exporter, path)))
        head = f"| {MODELS[name][0].__name__} `{name}` | {exporter} | {size} |"
        start = time.perf_counter()
        try:
            found = from_onnx(path)
        except NotImportedError as error:
            needs = dict.fromkeys(f"`{item.type}`: {item.need}" for item in error.refused)
            return f"{head} refused: {'; '.join(needs)} |"
        except FacError as error:
            return f"{head} refused: {error} |"
    folded = next((note.partition(" ")[0] for note in found.notes if "folded" in note), "none")
    told = f"{len(lowered(found.spec).nodes)} | {len(found.state)} | {folded} | {found.proof.evaluation.share:.0e}"
    return f"{head} {told} | ({time.perf_counter() - start:.0f} s)"


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    for wanted in sys.argv[1:] or [f"{name}:script" for name in MODELS]:
        name, _, exporter = wanted.partition(":")
        print(row(name, exporter or "script"), flush=True)
