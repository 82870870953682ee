"""The passes of the ONNX backend, in the order in which they run."""

from __future__ import annotations

from fac.step.transform import Pass
from fac_onnx.draft import Draft
from fac_onnx.fuse import FUSE_PRODUCTS
from fac_onnx.narrow import NARROW_HASH
from fac_onnx.together import UPDATE_TOGETHER

PASSES: tuple[Pass[Draft], ...] = (FUSE_PRODUCTS, UPDATE_TOGETHER, NARROW_HASH)
