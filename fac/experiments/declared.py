"""The file that declares a comparison, so that what is compared is in review before it is trained."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from fac import source
from fac.diagnostics import Diagnostic, FacError, SpecError
from fac.experiments.comparing import Design
from fac.experiments.job import document_of
from fac.opening import placed
from fac.render.findings.full import full
from fac.source import Document
from fac.spec.base import Model
from fac.spec.errors import translate
from fac.spec.train import Positive

KEY = "compare"
"""Its first key, as `fac` is that of a spec."""
Rate = Annotated[float, Field(gt=0)]


class ComparisonFile(Model):
    """What a comparison file says."""

    compare: Literal[1] = Field(description="Version of the format.")
    specs: tuple[str, ...] = Field(description="Files, from the folder of this one.")
    rules: tuple[str, ...] = Field((), description="As `--rules`.")
    ranks: tuple[Positive, ...] = Field((), description="As `--rank`.")
    seeds: Positive = Field(3, description="As `--seeds`.")
    contrasts: tuple[str, ...] = Field((), description="As `--contrast`: `ldfa:bp`.")
    rates: dict[str, Rate] = Field({}, description="Learning rates by rule, or by row, as `--rate`.")
    budget: str = Field("", description="How these, or other settings, were tuned, in words.")


@dataclass(frozen=True, slots=True)
class Declared:
    """A comparison as a file says it."""

    documents: tuple[Document, ...]
    design: Design


def declared(path: str, overrides: Iterable[str] = ()) -> Declared | None:
    """What a file declares, if it is a comparison file and no spec.

    Args:
        path: of the file.
        overrides: `--set` assignments for each of its specs.

    Raises:
        FacError: it cannot be read, or one of its specs.
        SpecError: something in it is wrong; `diagnostics` says what.
    """
    document = source.read(path)
    if document.diagnostics or KEY not in document.data:
        return None
    try:
        found = ComparisonFile.model_validate(document.data)
    except ValidationError as error:
        raise _refused(document, translate(error, document.data, ComparisonFile)) from None
    if not found.specs:
        raise FacError(f"`{path}` names no spec to compare: `specs: [spec.fac.yaml]`")
    folder = Path(path).parent
    names = [placed(folder, name, f"`specs` of `{path}`") for name in found.specs]
    documents = tuple(document_of(os.path.normpath(name), overrides) for name in names)
    design = Design(found.rules or None, found.ranks, found.seeds, found.contrasts, found.rates, found.budget)
    return Declared(documents, design)


def _refused(document: Document, findings: tuple[Diagnostic, ...]) -> SpecError:
    return SpecError(full(document, findings), findings)
