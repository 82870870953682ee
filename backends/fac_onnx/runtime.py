"""onnxruntime, imported in one place: without a word from the user, nothing about a training leaves the machine."""

from __future__ import annotations

import os

# Its official builds send events home and keep an identifier in the home folder unless this says no beforehand.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

__all__ = ["ort"]
