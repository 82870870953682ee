"""The settings of `fac check`: what a file says, what it extends, and what options say instead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import TYPE_CHECKING

from fac import plugins
from fac.diagnostics import Diagnostic, FacError, Severity
from fac.escaping import visible
from fac.lint import reading
from fac.lint.patterns import any_matches, matches, relative
from fac.lint.policy import joined
from fac.lint.reading import shown
from fac.lint.selection import ALL, READING, Selection, ignorable, selectors, specific
from fac.program.policy import NO_POLICY, Policy

if TYPE_CHECKING:
    from fac.lint.schema import FileSettings

STDIN_NAME = "<stdin>"


@dataclass(frozen=True)
class Settings:
    """What holds for the files of one folder."""

    folder: str = os.curdir
    """Where the patterns of files start."""
    file: str = ""
    """The settings file as messages name it; empty if there is none."""
    selection: Selection = ALL
    options: Selection = ALL
    """Of the command line, which comes before."""
    severity: Mapping[str, Severity] = field(default_factory=dict)
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fail_on: Severity = Severity.ERROR
    output_format: str | None = None
    exclude: tuple[str, ...] = ()
    policy: Policy = NO_POLICY
    needs: tuple[tuple[str, str], ...] = ()
    """Plug-ins, a path or the name of a distribution each, with the file of settings that names it."""

    def require(self) -> None:
        """Nothing if all plug-ins are there that are needed.

        Raises:
            FacError: one is not. It says how to name it; no file of settings makes `fac` run anything.
        """
        for need, file in self.needs:
            if need.endswith(plugins.SUFFIX):
                if not plugins.loaded(need):
                    path = visible(quote(os.path.normpath(need)))
                    raise FacError(
                        f"`{file}` says that specs need the plug-in `{shown(need)}`, which is not loaded: name it by "
                        f"`--plugin {path}`, or in the environment, `{plugins.VARIABLE}`"
                    )
            elif not plugins.installed(need):
                raise FacError(
                    f"`{file}` says that specs need kinds of the distribution `{need}`, and it is not installed, or "
                    f"declares none: `pip install {quote(need)}`"
                )

    def reports(self, code: str, name: str) -> bool:
        """Whether findings of that code are to be reported in a file."""
        if code in READING:
            return True
        if self.options.select:
            chosen = self.options.reports(code)
        else:
            chosen = self.selection.reports(code) and specific(self.options.ignore, code) < 0
        return chosen and not any(
            specific(codes, code) >= 0 and matches(pattern, relative(name, self.folder))
            for pattern, codes in self.per_file_ignores.items()
        )

    def graded(self, finding: Diagnostic) -> Diagnostic:
        """The finding with the severity that the settings give to its rule."""
        code = finding.rule.code
        named = [selector for selector in self.severity if code.startswith(selector)]
        if not named or code in READING:
            return finding
        severity = self.severity[max(named, key=len)]
        return replace(finding, rule=replace(finding.rule, severity=severity))

    def fails(self, finding: Diagnostic) -> bool:
        """Whether a finding is at or above the bar."""
        return self.fail_on is Severity.WARNING or finding.rule.severity is Severity.ERROR

    def excludes(self, name: str) -> bool:
        """Whether a file is not to be checked."""
        return bool(self.exclude) and any_matches(self.exclude, relative(name, self.folder))


class Lookup:
    """The settings of each file: those of the nearest settings file upwards, each read once.

    What the files of folders further up demand of every spec holds, too, as far up as the repository goes.
    """

    def __init__(
        self,
        config: str | None = None,
        isolated: bool = False,
        select: tuple[str, ...] = (),
        ignore: tuple[str, ...] = (),
        fail_on: Severity | None = None,
    ) -> None:
        """Take the options of a command line.

        Args:
            config: a settings file for everything, instead of those that stand beside the files.
            isolated: read no settings file.
            select: see `Selection`; comes before the settings.
            ignore: added to what the settings ignore.
            fail_on: comes before the settings.

        Raises:
            FacError: an option names no rule, or the file is missing or wrong.
        """
        self.options = Selection(selectors(select, "`--select`"), ignorable(ignore, "`--ignore`"))
        self.fail_on = fail_on
        self._by_folder: dict[str, Settings] = {}
        self._only: Settings | None = None
        if config is not None:
            self._only = self._with_options(load(config, os.curdir))
        elif isolated:
            self._only = self._with_options(Settings())

    @property
    def here(self) -> Settings:
        """Those of the current folder, which also decide about the output.

        Raises:
            FacError: the settings file is wrong.
        """
        return self._only or self._of_folder(os.getcwd())

    def of(self, name: str) -> Settings:
        """Those of a file.

        Raises:
            FacError: its settings file is wrong.
        """
        if self._only is not None:
            return self._only
        return self.here if name == STDIN_NAME else self._of_folder(os.path.dirname(os.path.abspath(name)))

    def _of_folder(self, folder: str) -> Settings:
        unknown = []
        while folder not in self._by_folder:
            unknown.append(folder)
            above = os.path.dirname(folder)
            if above == folder:
                break
            folder = above
        found = self._by_folder.get(folder)
        for each in reversed(unknown):  # from the top down: folders can be deep
            found = self._by_folder[each] = self._nearer(each, found)
        assert found is not None
        return found

    def _nearer(self, folder: str, above: Settings | None) -> Settings:
        file = reading.in_folder(folder)
        if file is None:
            return above or self._with_options(Settings())
        own = self._with_options(load(file, folder, within=reading.top(folder)))
        if above is None or os.path.exists(os.path.join(folder, ".git")):
            return own
        return replace(own, policy=replace(own.policy, outer=above.policy))

    def _with_options(self, settings: Settings) -> Settings:
        return replace(settings, options=self.options, fail_on=self.fail_on or settings.fail_on)


def load(path: str, folder: str, within: str | None = None) -> Settings:
    """The settings in a file, and in those that it extends: lists extend, tables merge, the nearer value wins.

    Args:
        path: of the file.
        folder: where its patterns start.
        within: the folder out of which no link leads to it; None if the command line names it.

    Raises:
        FacError: a file is missing or wrong, or loosens what it extends.
    """
    chain = reading.chain(path, within)
    settings = Settings(folder, chain[0][0], policy=joined(chain))
    for name, said in reversed(chain):
        settings = _onto(settings, name, said)
    return settings


def _onto(settings: Settings, name: str, said: FileSettings) -> Settings:
    """The settings with those of a nearer file."""

    def of(key: str, words: Iterable[str]) -> tuple[str, ...]:
        return (selectors if key == "select" else ignorable)(words, f"`{name}`: `{key}`")

    before = settings.selection
    severity = {code: Severity(s) for word, s in said.severity.items() for code in of("severity", [word])}
    per_file = {glob: of("per-file-ignores", words) for glob, words in said.per_file_ignores.items()}
    return replace(
        settings,
        selection=Selection(
            before.select + of("select", said.select), before.ignore + of("ignore", said.ignore)
        ),
        severity={**settings.severity, **severity},
        per_file_ignores={**settings.per_file_ignores, **per_file},
        fail_on=Severity(said.fail_on) if said.fail_on else settings.fail_on,
        output_format=said.output_format or settings.output_format,
        exclude=settings.exclude + said.exclude,
        needs=settings.needs + tuple((_need(need, name), name) for need in said.needs),
    )


def _need(said: str, file: str) -> str:
    """A path from here, or the name of a distribution.

    Raises:
        FacError: it is neither.
    """
    if said.endswith(plugins.SUFFIX):
        return os.path.join(os.path.dirname(file), said)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", said):
        raise FacError(
            f"`{file}`: `needs` names `{said}`, which is neither a Python file, `rules/mine.py`, nor the name of a "
            "distribution, `my-rules`"
        )
    return said
