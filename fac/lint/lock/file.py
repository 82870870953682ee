"""The text of a lock: one fact a line, so that a review shows what changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from fac.checks.locked import UNMATCHED_LOCK
from fac.diagnostics import Diagnostic, FacError, Span, dotted
from fac.lint.lock.differences import differences
from fac.lint.lock.facts import GROUPS, Facts
from fac.opening import Kind, content, there
from fac.pipeline import lowered
from fac.render.yaml import dump
from fac.source import Document, parse_text
from fac.source.document import EMPTY_SPEC, UNSUPPORTED_YAML

DEFAULT = "fac.lock"
VERSION = 1
LOCK = Kind("a lock", 10_000_000)
_HEAD = "# What experiments come to, written by `fac lock`. `fac check --locked` says what is no longer so.\n"
_AGAIN = "write it again with `fac lock`"


def locked(experiments: Mapping[str, tuple[str, Facts]]) -> str:
    """The text of a lock.

    Args:
        experiments: by name, the path of the spec from the folder of the lock, and its facts.
    """
    blocks = [_HEAD, f"lock: {VERSION}\nexperiments:\n"]
    for name, (file, found) in sorted(experiments.items()):
        title = dump({name: {}}).removesuffix(" {}\n")
        lines = dump({"file": PurePath(file).as_posix(), **found}).splitlines()
        blocks += [f"  {title}\n", *(f"    {line}\n" for line in lines)]
    return "".join(blocks)


@dataclass(frozen=True)
class Lock:
    """A lock as it was read, and which of its experiments were met since."""

    document: Document
    met: dict[str, str] = field(default_factory=dict)
    """Names of experiments, and the specs of that name."""

    @staticmethod
    def read(path: str) -> Lock:
        """The lock in a file.

        Raises:
            FacError: it is missing, damaged, or of another version.
        """
        document = parse_text(content(path, LOCK, named=True).decode(errors="replace"), path)
        reason = next(_damages(document), None)
        if reason:
            raise FacError(f"`{path}` is no lock: {reason}; {_AGAIN}")
        return Lock(document)

    @staticmethod
    def replaced(path: str) -> frozenset[str]:
        """The names of the experiments in a lock that is about to be written again, as far as it can be read.

        Raises:
            FacError: something else is there.
        """
        if not there(path):
            return frozenset()
        try:
            return frozenset(Lock.read(path).experiments)
        except FacError as error:
            if content(path, LOCK, named=True).startswith(_HEAD.encode()):
                return frozenset()  # left by a merge, or of another version: it is what is written again
            raise FacError(f"`{path}` is there, and no lock: give another `--output`") from error

    @property
    def experiments(self) -> dict[str, dict[str, Any]]:
        """The facts by name of the experiment, with the path of the spec as `file`."""
        found: dict[str, dict[str, Any]] = self.document.data["experiments"]
        return found

    def findings(self, document: Document) -> Iterator[Diagnostic]:
        """What is not as it is locked in a spec without errors."""
        program = lowered(document)
        name = program.spec.name
        other = self.met.setdefault(name, document.name)
        if os.path.realpath(other) != os.path.realpath(document.name):
            yield UNMATCHED_LOCK.at(
                ("name",),
                f"`{other}` is an experiment of the name `{name}`, too: the lock knows one of that name",
                help="give one of the two another `name`",
            )
        elif name not in self.experiments:
            yield UNMATCHED_LOCK.at(
                ("name",),
                f"the experiment `{name}` is not in the lock `{self.document.name}`",
                help="if it is to be held to what it is now, run `fac lock` on it and those that are locked",
            )
        else:
            yield from differences(program, self.experiments[name], self.document.name)

    def gone(self) -> Iterator[Diagnostic]:
        """The experiments of which there is no spec any more, once all specs are checked."""
        folder = os.path.dirname(self.document.name)
        checked = {os.path.realpath(file) for file in self.met.values()}
        for name, found in self.experiments.items():
            place = os.path.join(folder, found["file"])
            renamed = os.path.realpath(place) in checked
            if name not in self.met and (renamed or not os.path.isfile(place)):
                yield UNMATCHED_LOCK.at(
                    ("experiments", name, "file"),
                    f"the lock names the experiment `{name}`, and `{found['file']}` "
                    + ("has another name now" if renamed else "does not exist"),
                    help="if it is meant to be gone, run `fac lock` on the specs that are left",
                )


def _damages(document: Document) -> Iterator[str]:
    """What a file of `fac lock` would not say."""
    for finding in document.diagnostics:
        if finding.path or finding.rule not in (EMPTY_SPEC, UNSUPPORTED_YAML):
            place = document.place(finding)
            yield f"line {place.line}: {finding.message}" if isinstance(place, Span) else finding.message
    version, experiments = document.data.get("lock"), document.data.get("experiments")
    if version is None:
        yield "it does not say `lock: 1`"
    if version != VERSION:
        yield f"it is of version {version}, and this `fac` reads version {VERSION}"
    if not isinstance(experiments, dict):
        yield "`experiments` is no mapping of names"
        return
    for name, found in experiments.items():
        if not isinstance(found, dict) or not isinstance(found.get("file"), str):
            yield f"the experiment `{name}` names no `file`"
            continue
        for key, value in found.items():
            group, _, rest = key.partition("/")
            if key != "file" and (group not in GROUPS or not rest or isinstance(value, dict)):
                yield f"`{dotted(('experiments', name, key))}` is no fact"
