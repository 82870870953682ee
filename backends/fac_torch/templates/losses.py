"""Losses and their errors, and softmax."""

from __future__ import annotations

from fac_torch.templates.base import Memory, Template, kernel

LOSSES: dict[str, Template] = {
    "cross_entropy": Template(lambda line: f"kernels.cross_entropy({line.given})"),
    "cross_entropy_input": kernel("cross_entropy_input"),
    "log_softmax": kernel("log_softmax"),
    "softmax": Template(lambda line: f"torch.softmax({line.given}, {line['axis']})", Memory.OUT),
}
