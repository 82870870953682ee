"""Findings in every format. A format is a module of its own name here, with `render(Report) -> str`."""

from __future__ import annotations

from importlib import import_module

from fac.render.findings.report import Checked, Report

FORMATS = ("full", "concise", "json", "github", "gitlab", "sarif", "junit")
"""In the order of the help text."""


def render(name: str, report: Report) -> str:
    """Everything that is printed, in the format of that name. Only that one is imported."""
    text: str = import_module(f"fac.render.findings.{name}").render(report)
    return text


__all__ = ["FORMATS", "Checked", "Report", "render"]
