"""onnxruntime, imported in one place: unless the user asks for it, nothing about a training leaves the machine.

Whatever needs the package takes `ort` from here, even to see whether it is there: the first import decides.
"""

from __future__ import annotations

import os

# Its official builds send events home and keep an identifier in the home folder unless this says no beforehand.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

__all__ = ["ort"]
