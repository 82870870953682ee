"""The command line: the only place that prints, reads arguments or exits. One file per command."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module

import click

from fac.cli.output import any_encoding, echo, tell
from fac.diagnostics import FacError, SpecError

COMMANDS = (
    "init",
    "check",
    "rule",
    "schema",
    "show",
    "diff",
    "data",
    "compile",
    "train",
    "export",
    "sample",
    "compare",
    "backends",
)
"""In the order of the help page. Command `x` is the function `x` (or `x_`) of `fac.cli.x`."""


class Lazy(click.Group):
    """Imports a command when it is asked for, so that `fac check` never pays for `fac train`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in COMMANDS:
            return None
        command = import_module(f"fac.cli.{name}").COMMAND
        assert isinstance(command, click.Command)
        return command


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Why a file that standard output is sent to can take no more."""


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fac-compiler", prog_name="fac")
def fac() -> None:
    """Compile neural networks whose backward pass is declared."""


def main() -> None:
    """Run the command line. Exit status: 0 clean, 1 findings, 2 the tool could not do it, 130 interrupted."""
    # Most of what a command makes lives to its end: by default, looking for garbage takes a quarter of the time
    # of a run over many files, and finds none.
    gc.set_threshold(100_000, 50, 100)
    if sys.stdout is None:
        tell("standard output is closed: nothing could be printed")
        sys.exit(2)
    any_encoding()
    try:
        sys.exit(fac.main(prog_name="fac", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show(sys.stderr)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        echo("fac: interrupted", err=True)
        sys.exit(130)
    except SpecError as error:
        echo(error, err=True)
        sys.exit(1)
    except FacError as error:
        tell(error)
        sys.exit(2)
    except MemoryError as error:
        about = f": {error}" if str(error) else ""
        tell(
            f"memory ran out{about}; `fac show SPEC --cost` says what a step takes: use narrower layers, lower "
            "ranks or a smaller `train.batch`"
        )
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: nothing is wrong, and nobody is left to tell.
        _drop_output()
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
            tell(f"cannot write to standard output: {os.strerror(error.errno).lower()}")
            _drop_output()
            sys.exit(2)
        if os.environ.get("FAC_TRACEBACK"):
            raise
        # Python would exit with 1, which means "findings".
        from fac.plugins import blamed  # not at the start of every command

        whose = blamed(error) or "internal error, please report it"
        tell(f"{whose}: {type(error).__name__}: {error}")
        echo("     (FAC_TRACEBACK=1 shows where)", err=True)
        sys.exit(2)


def _drop_output() -> None:
    """What is still to be printed would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
