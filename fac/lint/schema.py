"""What a settings file may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from fac import source
from fac.diagnostics import FacError
from fac.render.findings import FORMATS
from fac.spec.base import Model
from fac.spec.constraints import Constraints
from fac.spec.errors import translate

Level = Literal["error", "warning"]


class FileSettings(Model):
    """`[tool.fac]` in `pyproject.toml`, or a `fac.toml`."""

    extends: str | None = Field(None, description="A settings file that holds where this one says nothing.")
    select: tuple[str, ...] = Field((), description="Report only these rules.")
    ignore: tuple[str, ...] = Field((), description="Do not report these rules.")
    severity: dict[str, Level] = Field({}, description="Another severity for some rules.")
    per_file_ignores: dict[str, tuple[str, ...]] = Field(
        {}, alias="per-file-ignores", description="Rules that are not reported in some files."
    )
    fail_on: Level | None = Field(None, alias="fail-on", description="The least severity of exit status 1.")
    output_format: str | None = Field(None, alias="output-format", description="How findings are printed.")
    exclude: tuple[str, ...] = Field((), description="Files and folders that are not checked.")
    needs: tuple[str, ...] = Field(
        (),
        description="Plug-ins whose kinds the specs have: Python files, from the folder of the settings file, and "
        "distributions by name. None of them is run or installed for that.",
    )
    constraints: Constraints = Field(Constraints(), description="What must hold of every spec.")


class _Root(Model):
    """Gives the settings a name in messages."""

    settings: FileSettings


def parse(table: dict[str, Any], file: str) -> FileSettings:
    """The settings that a table of TOML holds.

    Args:
        table: from `tomllib`.
        file: for the message.

    Raises:
        FacError: a key is unknown, or a value has the wrong form.
    """
    document = source.from_data({"settings": table})
    findings = document.diagnostics
    if not findings:
        try:
            found = _Root.model_validate(document.data).settings
        except ValidationError as error:
            findings = translate(error, document.data, _Root)
        else:
            _known_format(found.output_format, file)
            return found
    told = [
        f.message + (f"; {f.help}" if f.help.startswith(("did", "its", "there")) else "") for f in findings
    ]
    raise FacError(f"`{file}`: {'; '.join(told)}")


def _known_format(name: str | None, file: str) -> None:
    if name is not None and name not in FORMATS:
        names = ", ".join(f"`{known}`" for known in FORMATS)
        raise FacError(f"`{file}`: no `output-format` is called `{name}`; there are {names}")
