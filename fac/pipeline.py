"""The whole chain on one page: text -> Document -> ModelSpec -> Program -> functions -> Artifact.

Each arrow is a pure function on frozen values.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fac import asked, plugins, source
from fac.checks import run_checks
from fac.checks.places import matrix_of
from fac.diagnostics import Diagnostic, FacError, Severity, SpecError, dotted
from fac.program.declared import unranked, unsettled
from fac.program.lower import kind_of, lower
from fac.program.policy import NO_POLICY, Policy
from fac.program.program import Program
from fac.source import Document, Overrides, assignments_of
from fac.spec.base import written
from fac.spec.data import places
from fac.spec.errors import translate
from fac.spec.model import ModelSpec
from fac.step.collecting import uncollected

if TYPE_CHECKING:
    from fac.backend import Artifact, Backend, Compiled, Precision, Reading, Saving, Term
    from fac.step.ir import Function

SpecLike = str | os.PathLike[str] | Mapping[str, Any] | Document | ModelSpec


def load(path: SpecLike, overrides: Overrides = ()) -> ModelSpec:
    """The spec in a file, in plain data, or as it is.

    Args:
        path: a file's path (`-` is standard input), a mapping, a Document or a ModelSpec.
        overrides: changes by path, `{"update.lr": 0.01}`, or as `--set` takes them, `["update.lr=0.01"]`.

    Raises:
        FacError: the file cannot be read.
        SpecError: it is not a spec; `diagnostics` says why.
    """
    path = _changed(path, overrides)
    if isinstance(path, ModelSpec):
        return path
    document = _document(path, overrides)
    spec, findings = parse(document)
    if spec is None:
        raise _refused(document, findings)
    return spec


def parse(document: Document) -> tuple[ModelSpec | None, tuple[Diagnostic, ...]]:
    """The spec, or None and the findings that say why there is none."""
    if document.diagnostics:
        return None, document.diagnostics
    try:
        return ModelSpec.model_validate(document.data), ()
    except ValidationError as error:
        return None, translate(error, document.data, ModelSpec)


@uncollected()
def check(
    path: SpecLike,
    overrides: Overrides = (),
    backend: str | None = None,
    precision: Precision | None = None,
    policy: Policy = NO_POLICY,
) -> tuple[Diagnostic, ...]:
    """All findings of a spec, in its order; empty if there are none.

    Args:
        path: see `load`.
        overrides: see `load`.
        backend: an installed one, which then has to be able to run the spec too.
        precision: for that backend; its own default if not given.
        policy: constraints that hold beside those of the spec.

    Raises:
        FacError: the file cannot be read, or there is no such backend.
    """
    asked.of(policy, Policy, "policy", "a `Policy`")
    path = _changed(path, overrides)
    spec, findings = (path, ()) if isinstance(path, ModelSpec) else parse(_document(path, overrides))
    if spec is None:
        return findings
    try:
        program = replace(lower(spec), policy=policy)
    except SpecError as error:
        return error.diagnostics
    found = run_checks(program)
    if backend is None or _errors(found):
        return found
    chosen = find_backend(backend)
    return found + _fitted(program, chosen, _known(precision) or chosen.default_precision)[1]


@uncollected()
def lowered(path: SpecLike, overrides: Overrides = ()) -> Program:
    """The network-level program of a spec without errors.

    Raises:
        FacError: the file cannot be read.
        SpecError: the spec has findings of severity `error`.
    """
    path = _changed(path, overrides)
    document = None if isinstance(path, ModelSpec) else _document(path, overrides)
    program = resolved(path if isinstance(path, ModelSpec) else load(document or path), document)
    errors = _errors(run_checks(program))
    if errors:
        raise _refused(document or source.from_data({}), errors)
    return program


def resolved(spec: ModelSpec, document: Document | None = None) -> Program:
    """The network-level program of a spec, whatever checks would find in it.

    Args:
        spec: any.
        document: where it comes from, for the places in messages.

    Raises:
        SpecError: it stands for more than can be written out.
    """
    try:
        return lower(spec)
    except SpecError as error:
        raise _refused(document or source.from_data({}), error.diagnostics) from None


def compiled(program: Program) -> Compiled:
    """The backend-independent result: functions and state."""
    from fac.backend import Anchor, Compiled, Probing, Recipe, Slot
    from fac.build.functions import build_probe, functions
    from fac.build.host import readings, tasks
    from fac.build.initial import draw
    from fac.build.pieces import solution
    from fac.build.views import view
    from fac.passes import optimise
    from fac.program.declared import probes_of
    from fac.program.feeds import feeds
    from fac.spec.schedules import schedule_of

    @uncollected()
    def probing() -> tuple[Function, tuple[Reading, ...]]:
        probe = optimise(build_probe(program), program.disabled)
        return probe, readings(program, probe)

    made, train, update = functions(program), program.spec.train, program.spec.update
    schedule = schedule_of("constant" if update is None else update.schedule)
    # all batches of an update have the rate of the first of them
    of_group = (f"step -= step % {train.accumulate}",) if train.accumulate > 1 else ()
    used = {value.name for value in made.forward.inputs}
    found = Compiled(
        name=program.spec.name,
        spec_hash=spec_hash(program.spec),
        version=_version(),
        forward=made.forward,
        evaluate=made.evaluate,
        step=made.step,
        probing=Probing(probing, bool(probes_of(program))),
        state=tuple(Slot(t.name, t.shape, t.name in used, t.below) for t in made.tensors),
        feeds=feeds(program),
        losses=terms(program),
        lr=0.0 if update is None else update.lr,
        initial=partial(draw, made.tensors, train.seed),
        tasks=tasks(program),
        anchor=None if made.other is None else Anchor(made.every, made.other),
        recipe=Recipe(
            train.epochs,
            train.batch,
            train.seed,
            (*of_group, *kind_of("fac.schedules", schedule).written(schedule)),
        ),
        spec=json.dumps(program.spec.model_dump(mode="json", by_alias=True)),
        disabled=program.disabled,
    )
    return replace(found, solution=solution(program, found), views=partial(view, program, found))


def terms(program: Program) -> tuple[Term, ...]:
    """The losses. The factor on a single one is in what an evaluation finds of it already."""
    from fac.backend import Term

    losses, several = program.losses, len(program.losses) > 1
    return tuple(
        Term(
            objective.target,
            objective.name if several else "",
            objective.scale if several else 1.0,
            program.class_axis(objective.of) or 0,
            objective.mask,
        )
        for objective in losses
    )


@uncollected()
def compile(
    path: SpecLike,
    backend: str = "torch",
    precision: Precision | None = None,
    overrides: Overrides = (),
    disable: Collection[str] = (),
) -> Artifact:
    """Lower a spec to a backend.

    Args:
        path: see `load`. The `data` and `train` sections are not needed.
        backend: the name of an installed backend.
        precision: `float32` or `float64`; the backend's own default if not given.
        overrides: see `load`.
        disable: the names of passes that are left out, see docs/passes.md.

    Raises:
        FacError: no such backend or pass, or what the backend runs with is not installed.
        SpecError: the spec has findings of severity `error`.
    """
    from fac.build.disabling import without

    _known(precision)
    chosen = find_backend(backend)
    disabled = asked.texts(disable, "disable", "share_common")
    path = _changed(path, overrides)
    if isinstance(path, ModelSpec):
        return emit(without(lowered(path), disabled, chosen), chosen, precision)
    document = _document(path, overrides)
    return emit(without(lowered(document), disabled, chosen), chosen, precision, document)


@uncollected()
def emit(
    program: Program,
    backend: Backend,
    precision: Precision | None = None,
    document: Document | None = None,
    made: Compiled | None = None,
) -> Artifact:
    """Lower a program without errors to a backend.

    Args:
        program: see `lowered`.
        backend: an installed one.
        precision: the backend's own default if not given.
        document: where the program comes from, for the places in messages.
        made: what `compiled` makes of the program, for who lowers it to several backends.

    Raises:
        FacError: what the backend runs with is not installed, or only training data can tell what a loss is.
        SpecError: the backend cannot run a layer.
    """
    from fac.build.disabling import passes_of

    _require_settled(program)
    precision = _known(precision) or precision_of(program, backend)
    fitted, findings = _fitted(program, backend, precision, made)
    if findings:
        raise _refused(document or source.from_data({}), findings)
    artifact = backend.emit(fitted, precision)
    artifact.passes = tuple(step.name for step in passes_of(backend) if step.name not in program.disabled)
    anchors = fitted.anchors
    artifact.other = None if anchors is None else backend.emit(anchors, precision)
    return artifact


def _require_settled(program: Program) -> None:
    """Nothing runs that only training data can complete."""
    for objective, of in unsettled(program):
        place = dotted((*objective.origin, of.field))
        raise FacError(
            f"`{place}` gives {of.by}, and only training data tell what that comes to: `fac train` and `fac compare` "
            f"write the numbers into the specs of their runs, which all commands take; or write numbers here"
        )
    for route in unranked(program):
        raise FacError(
            f"`{dotted(matrix_of(program, route, 'rank'))}` is `auto`, and only a training tells what that comes to: "
            f"`fac train` and `fac compare` write the numbers into the specs of their runs, which all commands take; "
            f"or write numbers here"
        )


def _known(precision: Precision | None) -> Precision | None:
    """The precision, if there is one of that name."""
    from fac.backend import PRECISIONS

    asked.name(precision, "precision", "float64")
    if precision is not None and precision not in PRECISIONS:
        raise FacError(
            f"no precision is called `{precision}`; there are {', '.join(f'`{p}`' for p in PRECISIONS)}"
        )
    return precision


def precision_of(program: Program, backend: Backend) -> Precision:
    """What a program is lowered to if nobody says: the backend's own, or what it takes to solve."""
    return backend.default_precision if program.spec.solve is None else "float64"


def find_backend(name: str) -> Backend:
    """An installed backend.

    Raises:
        FacError: there is none of that name; the message lists those that there are.
    """
    asked.of(name, str, "backend", "its name, such as `'torch'`")
    for backend in backends():
        if backend.name == name:
            return backend
    names = ", ".join(f"`{b.name}`" for b in backends())
    raise FacError(f"no backend is called `{name}`; installed are {names}")


def backends() -> tuple[Backend, ...]:
    """All installed backends."""
    return plugins.objects("fac.backends")


def find_saving(framework: str) -> Saving:
    """The backend that reads and writes a framework's own files of arrays.

    Raises:
        FacError: none does.
    """
    from fac.backend import Saving

    for backend in backends():
        if isinstance(backend, Saving) and backend.imports == framework:
            return backend
    raise FacError(f"no installed backend reads files of `{framework}`")


@cache
def _version() -> str:
    """Ours. To look it up reads all that is said of the distribution."""
    return version("fac-compiler")


def spec_hash(spec: ModelSpec) -> str:
    """SHA-256 of what the spec says beyond the defaults, whatever its layout, and wherever its data lie.

    What PyTorch calls arrays is no part of it, nor are loggers: no step depends on these.

    16 hexadecimal digits.
    """
    unlogged = spec.train.model_copy(update={"loggers": ()})
    meaning = written(
        spec.model_copy(update={"schema_": None, "state_dict": (), "train": unlogged})
    )  # for editors, for `fac export`, and for those who look on
    for place in places(type(spec.data)) if spec.data is not None else ():
        meaning["data"].pop(place, None)
    text = json.dumps(meaning, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _errors(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(d for d in findings if d.rule.severity is Severity.ERROR)


def _fitted(
    program: Program, backend: Backend, precision: Precision, made: Compiled | None = None
) -> tuple[Compiled, tuple[Diagnostic, ...]]:
    """The compiled program in ops that the backend has, and what it cannot do."""
    from fac.build.fit import fit
    from fac.checks import run_backend_checks

    fitted = fit(made or compiled(program), backend.ops(precision))
    return fitted, run_backend_checks(program, fitted, backend, precision)


def _changed(path: SpecLike, overrides: Overrides) -> SpecLike:
    """A model with overrides as the plain data that these change."""
    changed = isinstance(path, ModelSpec) and assignments_of(overrides)
    return source.from_data(written(path)) if changed else path


def _document(path: SpecLike, overrides: Overrides) -> Document:
    assert not isinstance(path, ModelSpec)
    if isinstance(path, Document):
        document = path
    else:
        document = source.from_data(path) if isinstance(path, Mapping) else source.read(path)
    return source.override(document, overrides)


def _refused(document: Document, findings: tuple[Diagnostic, ...]) -> SpecError:
    from fac.render.findings.full import full

    return SpecError(full(document, findings), findings)


__all__ = ["FacError", "SpecError", "backends", "check", "compile", "compiled", "load", "lowered", "parse"]
