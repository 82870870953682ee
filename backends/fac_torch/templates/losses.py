"""Losses and their errors."""

from __future__ import annotations

from fac_torch.templates.base import Template, kernel

LOSSES: dict[str, Template] = {
    "cross_entropy": Template(lambda line: f"kernels.cross_entropy({line.given})"),
    "cross_entropy_input": kernel("cross_entropy_input"),
}
