"""Kinds by entry point: what ships and what others install are found the same way.

Each entry point of a group names a tuple of kinds, so a family lists its members in its own folder. Kinds of other
distributions, and of files (`fac.plugins.files`), are guarded: what they do wrong is told as theirs
(`fac.plugins.guard`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple, get_args

from fac.diagnostics import FacError
from fac.plugins import files
from fac.plugins.guard import PluginError, Refusal, guarded, line_of, misuse, shown, told

__all__ = [
    "FAMILIES",
    "SUFFIX",
    "VARIABLE",
    "PluginError",
    "Refusal",
    "blamed",
    "foreign",
    "installed",
    "kinds",
    "load",
    "loaded",
    "misuse",
    "objects",
    "told",
]

CORE = "fac-compiler"
SUFFIX, VARIABLE = ".py", files.VARIABLE


class Family(NamedTuple):
    """What the kinds of a group are."""

    name: str
    type: str
    """The class that declares them."""
    model: str
    """The class of the spec that their models inherit from."""
    discriminator: str = "kind"
    """The field of their models that tells them apart."""
    types: tuple[str, ...] = ()
    """Other classes that declare kinds of it."""


FAMILIES = {
    "fac.layers": Family("layer", "LayerKind", "Layer", types=("BlockKind",)),
    "fac.losses": Family("loss", "LossKind", "Loss"),
    "fac.rules": Family("rule", "RuleKind", "ShortHand", "rule"),
    "fac.feedback": Family("feedback operator", "MatrixKind", "Matrix"),
    "fac.learning": Family("way to learn", "LearningKind", "Learning", "rule"),
    "fac.updates": Family("update rule", "UpdateKind", "Rule", "rule"),
    "fac.schedules": Family("schedule", "ScheduleKind", "Schedule"),
    "fac.solve": Family("solve rule", "SolveKind", "Solve", "rule"),
    "fac.probes": Family("probe", "ProbeKind", "Probe"),
    "fac.loggers": Family("logger", "LoggerKind", "Logger"),
    "fac.data": Family("data source", "DataKind", "Data", "source"),
}


def load(path: str | os.PathLike[str]) -> ModuleType:
    """Run a Python file, and add what it calls `KINDS` to what there is: layers, rules, updates and all other families.

    Args:
        path: of the file. One that was loaded before is not run again.

    Returns:
        The module that the file is, for tests of what it defines.

    Raises:
        FacError: there is no such file, it fails, or has no `KINDS`; or what kinds there are is settled, because a spec
            was read before, or `BackendConformance` of `fac.testing` imported. Then the file is not run.
    """
    if _found.cache_info().currsize and not files.ran(path):
        raise FacError(
            f"the plug-in `{shown(os.fspath(path))}` comes too late: what kinds there are is settled by now; load it "
            "before any spec is read and before `fac.testing.BackendConformance` is imported, or name it in the "
            f"environment, `{files.VARIABLE}`"
        )
    return files.run(path)


def kinds(group: str) -> tuple[Any, ...]:
    """All kinds of an entry-point group such as `fac.layers`, those of the core first.

    Raises:
        FacError: two distributions or files declare one kind, a plug-in cannot be imported, or declares what is
            no kind of the group; or there are none, as in an installation that is older than the code.
    """
    return tuple(found.kind for found in _found(group))


def foreign(group: str) -> dict[Any, str]:
    """The kinds of a group that are not the core's, by their models: the distribution of each, or its file.

    Raises:
        FacError: see `kinds`.
    """
    return {found.kind.spec: found.plugin for found in _found(group) if found.plugin}


def loaded(path: str | os.PathLike[str]) -> bool:
    """Whether the kinds of a file are there, without running it.

    Raises:
        FacError: a file that the environment names cannot be run.
    """
    files.named()
    return files.ran(path)


def paths() -> tuple[str, ...]:
    """Of the files whose kinds are there, for another process that needs them."""
    return files.paths()


def installed(name: str) -> bool:
    """Whether a distribution is installed that declares kinds."""
    points = (point for group in FAMILIES for point in _installed().select(group=group))
    return any(point.dist is not None and _plain(point.dist.name) == _plain(name) for point in points)


def _plain(name: str) -> str:
    """Names of distributions that mean the same are equal so."""
    return re.sub(r"[-_.]+", "-", name).lower()


class _Found(NamedTuple):
    kind: Any
    place: str
    """Where it is declared."""
    plugin: str
    """The distribution with its version, or the file; empty if it is the core's."""


@cache
def _found(group: str) -> tuple[_Found, ...]:
    found: dict[str, _Found] = {}
    points = sorted(_installed().select(group=group), key=lambda p: (_is_foreign(p), p.name))
    installed = (
        _Found(kind, point.value, _plugin(point) if _is_foreign(point) else "")
        for point in points
        for kind in _members(point)
    )
    for one in (*installed, *_of_files(group)):
        if one.kind.name in found:
            other = found[one.kind.name].place
            by = f"both `{other}` and `{one.place}`" if one.place != other else f"`{other}` twice"
            raise FacError(f"`{one.kind.name}` of group `{group}` is declared by {by}")
        found[one.kind.name] = one
    if not found:
        raise FacError(
            f"nothing that is installed declares kinds of `{group}`, not even fac: the installation is older than this "
            "code; install it anew (`make install`, or `pip install -e .`)"
        )
    return tuple(found.values())


def _members(point: EntryPoint) -> Iterable[Any]:
    """The kinds that an entry point names.

    Raises:
        FacError: it cannot be imported, or names something else.
    """
    members: tuple[Any, ...] = _loaded(point)
    if not _is_foreign(point):
        return members
    family = FAMILIES[point.group]
    if not isinstance(members, tuple | list):
        raise FacError(f"{_named(point)} names a {type(members).__name__}: a tuple of kinds is needed")
    for kind in members:
        problem = _problem(kind, family)
        if problem:
            raise FacError(f"{_named(point)} declares {problem}")
    return tuple(guarded(kind, _plugin(point), _package(point), family.name) for kind in members)


def _of_files(group: str) -> Iterable[_Found]:
    """The kinds of a group that files declare.

    Raises:
        FacError: a file declares what is no kind, of whatever group.
    """
    family = FAMILIES[group]
    for file in files.named():
        for kind in file.kinds:
            # what is of no family is told as if it were to be one of this one
            families = FAMILIES.values()
            of = next((one for one in families if _is_of(kind, one) or _is_model(kind, one)), family)
            if problem := _problem(kind, of):
                raise FacError(f"the plug-in `{file.name}` declares {problem}")
            if of is family:
                yield _Found(guarded(kind, file.name, file.package, family.name), file.name, file.name)


def _is_of(kind: Any, family: Family) -> bool:
    names = {base.__name__ for base in type(kind).__mro__}
    return bool(names & {family.type, *family.types})


def _is_model(kind: Any, family: Family) -> bool:
    """Whether it is the model of a kind of the family, in the place of the kind."""
    bases = kind.__mro__ if isinstance(kind, type) else ()
    return any(base.__name__ == family.model and base.__module__.startswith("fac.spec.") for base in bases)


def _problem(kind: Any, family: Family) -> str | None:
    """What is wrong with a kind, if something is. Its class is told by name: the program level is above this one."""
    allowed = (family.type, *family.types)
    if not is_dataclass(kind) or not _is_of(kind, family):
        needed = " or ".join(f"`{name}`" for name in allowed)
        if _is_model(kind, family):
            return f"the model `{kind.__name__}` in the place of its kind: a {needed} that names it is needed"
        what = f"a {type(kind).__name__}" if is_dataclass(type(kind)) else repr(kind)
        return f"{what}: a {needed} is needed"
    name = getattr(kind, "name", None)
    field = getattr(getattr(kind, "spec", None), "model_fields", {}).get(family.discriminator)
    if not isinstance(name, str) or get_args(getattr(field, "annotation", None)) != (name,):
        return (
            f"{type(kind).__name__} {name!r} whose model does not say so: "
            f"`{family.discriminator}: Literal[{name!r}] = {name!r}` is needed"
        )
    for part in fields(kind):
        value, needed = getattr(kind, part.name), str(part.type)
        fits = callable(value) or (value is None and needed.endswith("| None"))
        if needed.startswith("Callable[") and not fits:
            return f"{type(kind).__name__} {name!r} whose `{part.name}` is {value!r}: a function is needed"
    return None


@cache
def _installed() -> Any:
    """Asked for once, because every question reads the metadata of all that is installed."""
    return entry_points()


@cache
def objects(group: str) -> tuple[Any, ...]:
    """One object per entry point, as `fac.backends` has it. A module that fails to import is named.

    Raises:
        FacError: a plug-in cannot be imported.
    """
    return tuple(_loaded(point) for point in sorted(_installed().select(group=group), key=lambda p: p.name))


def _loaded(point: EntryPoint) -> Any:
    if not point.pattern.match(point.value):
        raise FacError(f"{_named(point)} names nothing: `module:object` is needed")
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise FacError(f"{_named(point)} cannot be imported{_from(point, error)}: {told(error)}") from error


def _from(point: EntryPoint, error: BaseException) -> str:
    """The file that was found, or that there is none. A package that fails is found where the failure passed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" from `{shown(error.filename)}`"
    try:
        spec = find_spec(point.module)
    except Exception:
        spec = None
    line = line_of(error, _package(point))
    if spec is not None and spec.origin:
        return f" from `{shown(spec.origin)}`" + (f", at {line}" if line else "")
    home = "" if point.dist is None else f" in `{shown(str(point.dist.locate_file('')))}`"
    return f", at {line}" if line else f": no module `{point.module}` is found{home}"


def blamed(error: BaseException) -> str | None:
    """Whose mistake an exception is that nobody expected: the plug-in whose modules it passed through last, if any."""
    for group in (*FAMILIES, "fac.backends"):
        for point in _installed().select(group=group):
            line = line_of(error, _package(point)) if _is_foreign(point) else None
            if line:
                return f"the plug-in `{_plugin(point)}` fails at {line}"
    for file in files.known():
        line = line_of(error, file.package)
        if line:
            return f"the plug-in `{file.name}` fails at {line}"
    return None


def _named(point: EntryPoint) -> str:
    return f"plug-in `{point.name}` ({point.value}, of `{_plugin(point)}`) of group `{point.group}`"


def _plugin(point: EntryPoint) -> str:
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _package(point: EntryPoint) -> str:
    found = point.pattern.match(point.value)
    return (found["module"] if found else point.value).partition(".")[0]


def _is_foreign(point: EntryPoint) -> bool:
    # The name of a distribution is read from its metadata, which takes a millisecond.
    return _package(point) != "fac" and (point.dist is None or point.dist.name != CORE)
