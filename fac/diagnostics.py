"""What `fac` says to people: places, rules, findings and errors. Knows nothing else in the package."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where something stands in a spec: `("feedback", "routes", 0, "matrix", "rank")`."""


class Severity(StrEnum):
    """How bad a finding is. Only errors stop a compilation."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text: lines and columns count from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding. Codes are never reused; the name reads after "allow"."""

    code: str
    name: str
    severity: Severity = Severity.ERROR

    def at(self, path: Path, message: str, *, help: str = "", key: bool = False) -> Diagnostic:
        """A finding of this rule. `key` puts the caret under the key at `path` instead of its value."""
        return Diagnostic(self, path, message, help, key)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: where, what, and how to mend it. Renderers turn the path into lines and columns."""

    rule: Rule
    path: Path
    message: str
    help: str = ""
    key: bool = False
    span: Span | None = None
    """Set only where no path exists, as in text that is not YAML."""


class FacError(Exception):
    """The tool could not do what was asked. `str(error)` is one clear message that names place and remedy."""


class SpecError(FacError):
    """A spec has findings that forbid going on. The findings stand in `diagnostics`."""

    def __init__(self, message: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


def dotted(path: Path) -> str:
    """`("layers", 0, "out")` as `layers[0].out`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
