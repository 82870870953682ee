"""The passes of the ONNX backend, in the order in which they run."""

from __future__ import annotations

from fac.step.transform import Pass
from fac_onnx.draft import Draft
from fac_onnx.fuse import FUSE_PRODUCTS
from fac_onnx.narrow import NARROW_HASH

PASSES: tuple[Pass[Draft], ...] = (FUSE_PRODUCTS, NARROW_HASH)
