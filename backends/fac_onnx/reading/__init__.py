"""ONNX files as graphs of operations, for `fac import`."""

from fac_onnx.reading.module import OnnxModule, opened

__all__ = ["OnnxModule", "opened"]
