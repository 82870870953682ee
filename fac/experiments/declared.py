"""The file that declares a comparison, so that what is compared is in review before it is trained."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationError

from fac import source
from fac.diagnostics import Diagnostic, FacError, SpecError
from fac.experiments.comparing import Design, rows_of
from fac.experiments.contrasts import declared as pairs
from fac.experiments.job import document_of
from fac.opening import placed
from fac.pipeline import lowered
from fac.render.findings.full import full
from fac.source import Document
from fac.spec.base import Model
from fac.spec.errors import INVALID_VALUE, translate
from fac.spec.train import Positive

KEY = "compare"
"""Its first key, as `fac` is that of a spec."""
Rate = Annotated[float, Field(gt=0)]


class ComparisonFile(Model):
    """What a comparison file says."""

    whole: ClassVar = "a comparison file"

    compare: Literal[1] = Field(description="Version of the format.")
    specs: tuple[str, ...] = Field(description="Files, from the folder of this one.")
    rules: tuple[str, ...] = Field((), description="As `--rules`.")
    ranks: tuple[Positive, ...] = Field((), description="As `--rank`.")
    seeds: Positive = Field(3, description="As `--seeds`.")
    contrasts: tuple[str, ...] = Field((), description="As `--contrast`: `ldfa:bp`.")
    rates: dict[str, Rate] = Field({}, description="Learning rates by rule, or by row, as `--rate`.")
    budget: str = Field("", description="How these, or other settings, were tuned, in words.")
    audit: bool = Field(
        True, description="Whether arms are trained and networks looked at; else as `--no-audit`."
    )


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
    if not declares(document):
        return None
    found, findings = _read(document, overrides)
    if found is None:
        raise _refused(document, findings)
    for spec in found.documents:
        lowered(spec)  # what is wrong in one is shown where it stands in that
    if findings := tuple(_misnamed(found)):
        raise _refused(document, findings)
    return found


def declares(document: Document) -> bool:
    """Whether it is a comparison file, and no spec."""
    return not document.diagnostics and KEY in document.data


def checked(document: Document) -> tuple[Diagnostic, ...]:
    """What `fac compare` would refuse a comparison file for, before any data are loaded.

    Args:
        document: one that `declares`.
    """
    found, findings = _read(document, ())
    if found is None:
        return findings
    broken = tuple(_broken(found.documents))
    return broken or tuple(_misnamed(found))


def _broken(documents: Sequence[Document]) -> Iterator[Diagnostic]:
    for number, spec in enumerate(documents):
        try:
            lowered(spec)
        except SpecError as error:
            many = f"{len(error.diagnostics)} error{'s' * (len(error.diagnostics) != 1)}"
            yield INVALID_VALUE.at(
                ("specs", number), f"`{spec.name}` has {many}", help=f"`fac check {spec.name}` shows where"
            )


def _read(document: Document, overrides: Iterable[str]) -> tuple[Declared | None, tuple[Diagnostic, ...]]:
    """The comparison, or None and why there is none."""
    try:
        found = ComparisonFile.model_validate(document.data)
    except ValidationError as error:
        return None, translate(error, document.data, ComparisonFile)
    documents, findings = _specs(document, found.specs, overrides)
    if findings:
        return None, findings
    rules = found.rules or None
    design = Design(
        rules, found.ranks, found.seeds, found.contrasts, found.rates, budget=found.budget, audit=found.audit
    )
    return Declared(documents, design), ()


def _specs(
    file: Document, names: Sequence[str], overrides: Iterable[str]
) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    if not names:
        return (), (INVALID_VALUE.at(("specs",), "there is no spec to compare"),)
    found, findings = [], []
    for number, name in enumerate(names):
        try:
            path = placed(file.folder, name, f"`specs[{number}]`")
            found.append(document_of(os.path.normpath(path), overrides))
        except FacError as error:
            findings.append(INVALID_VALUE.at(("specs", number), str(error)))
    return tuple(found), tuple(findings)


def _misnamed(found: Declared) -> Iterator[Diagnostic]:
    """Rules, rates and contrasts that name nothing, each where it stands. No spec has errors."""
    documents, design = found.documents, found.design
    try:
        asked_for, arms = rows_of(documents, replace(design, rates={}))
    except FacError as error:
        yield INVALID_VALUE.at(("rules",) if design.rules else (), str(error))
        return
    fitting: dict[str, float] = {}
    # those of rules first: arms are called by the rules whose rates they have
    names = {name for variant in asked_for for name in (variant.label, variant.rule)}
    for name, rate in sorted(design.rates.items(), key=lambda item: item[0] not in names):
        try:
            asked_for, arms = rows_of(documents, replace(design, rates={**fitting, name: rate}))
            fitting[name] = rate
        except FacError as error:
            yield INVALID_VALUE.at(("rates", name), str(error), key=True)
    labels = [variant.label for variant in (*asked_for, *arms)]
    for number, text in enumerate(design.contrasts):
        try:
            pairs([text], labels, design.seeds)
        except FacError as error:
            yield INVALID_VALUE.at(("contrasts", number), str(error))


def _refused(document: Document, findings: tuple[Diagnostic, ...]) -> SpecError:
    return SpecError(full(document, findings), findings)
