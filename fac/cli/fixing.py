"""`fac check --fix` and `--diff`: the mended text, written or shown."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

from fac import escaping
from fac.cli.output import write
from fac.lint.files import STDIN
from fac.lint.fix import Lint, fix
from fac.lint.run import Linted
from fac.source import Document
from fac.writing import sweep


class Fixing:
    """The fixes of one run: what they change, and how many there are."""

    def __init__(self, *, show: bool) -> None:
        self.show = show
        """Whether changes are shown instead of made."""
        self.shown: list[bytes] = []
        """The patch, or the text that came from standard input."""
        self._swept: set[str] = set()
        self.count = 0
        self.files = 0

    def __call__(self, file: str, document: Document, lint: Lint) -> tuple[Document, Linted]:
        """A document with its fixes made and what is left to say, in its file too unless they are only to be shown.

        Raises:
            FacError: the file cannot be written.
        """
        fixed = fix(document, lint)
        before, after = whole(document), whole(fixed.document)
        if self.show:
            self.shown.append(patch(document.name, before, after).encode())
        elif file == STDIN:
            self.shown.append(after.encode())
        elif before != after:
            write(file, after)
        self.count += fixed.mended
        self.files += before != after
        return fixed.document, fixed.linted

    def prepare(self, file: str) -> None:
        """Make a file ready to be read for its fixes: a call before may have been cut off while it wrote it.

        Raises:
            FacError: what that has left cannot be mended.
        """
        if self.show or file == STDIN:
            return
        folder = os.path.dirname(os.path.realpath(file))
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(Path(folder))

    @property
    def note(self) -> str:
        """`fixed 3 findings in 2 files`."""
        verb = "would fix" if self.show else "fixed"
        return f"{verb} {_counted(self.count, 'finding')} in {_counted(self.files, 'file')}"

    @property
    def output(self) -> bytes:
        """What goes to standard output, to the byte."""
        return b"".join(self.shown)


def whole(document: Document) -> str:
    """All that its file holds."""
    return document.mark + document.text


def patch(name: str, before: str, after: str) -> str:
    """What `patch` and `git apply -p0` take; empty where nothing changes."""
    # A name ends at a tab, so that it may hold blanks.
    header = f"{name}\t" if " " in name and name == escaping.patch(name) else escaping.patch(name)
    rows = unified_diff(_lines(before), _lines(after), header, header)
    return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)


def _lines(text: str) -> list[str]:
    """The lines as other programs count them, with their ends: nothing ends a line but a line feed."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
