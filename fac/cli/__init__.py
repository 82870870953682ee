"""The command line: the only place that prints, reads arguments or exits. One file per command."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from keyword import iskeyword

import click

from fac.cli.output import echo, say, tell
from fac.cli.paths import TEXT
from fac.cli.refusals import adrift, refusal
from fac.cli.streams import lasting, unwritten
from fac.diagnostics import FacError, SpecError
from fac.signals import ended_by, hearing, interrupted, over

COMMANDS = (
    "init",
    "import",
    "check",
    "rule",
    "schema",
    "show",
    "diff",
    "lock",
    "data",
    "compile",
    "train",
    "plot",
    "report",
    "evaluate",
    "predict",
    "export",
    "sample",
    "compare",
    "sweep",
    "study",
    "bench",
    "backends",
)
"""In the order of the help page. Command `x` is `COMMAND` of `fac.cli.x`, or of `fac.cli.x_` if `x` is a keyword."""


class Lazy(click.Group):
    """Imports a command when it is asked for, so that `fac check` never pays for `fac train`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names; one that is near where there is none."""
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and (near := get_close_matches(args[0], COMMANDS, n=1)):
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in COMMANDS:
            return None
        module = f"{name}_" if iskeyword(name) else name
        command = import_module(f"fac.cli.{module}").COMMAND
        assert isinstance(command, click.Command)
        if not any("--plugin" in parameter.opts for parameter in command.params):
            command.params.append(PLUGIN)  # `fac init --plugin` writes one
            if name in LOADING:
                command.params.append(CODE)
        return command


def _load(context: click.Context, parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    """Run plug-ins before the command asks for any kind."""
    if paths:
        from fac.plugins import load  # not at the start of every command

        for path in paths:
            load(path)


def _allow(context: click.Context, parameter: click.Parameter, allowed: bool) -> None:
    """Let a spec name code that makes its data."""
    if allowed:
        from fac.training.data import python

        python.allow()


SETTINGS = {
    "--rule": "feedback.rule",
    "--epochs": "train.epochs",
    "--batch": "train.batch",
    "--batch-size": "train.batch",
    "--seed": "train.seed",
    "--lr": "update.lr",
}
"""Settings of a spec that other tools have as options."""
_LOGS = "The spec says what else each run logs to: write `--set 'train.loggers=[tensorboard]'`, and `--out`."
INSTEAD = {
    ("compare", "--log"): _LOGS,
    ("sweep", "--log"): _LOGS,
    ("sweep", "--rank"): "Write `--over feedback.rank=1,2,4`, or `--set feedback.rank=4` for one rank.",
    ("sweep", "--rate"): "A sweep finds learning rates: write `--over update.lr=log:0.001:1`.",
}
"""What to write for options that other commands have."""
LOADING = ("data", "train", "report", "evaluate", "export", "compare", "sweep")
"""Commands that load what `data:` declares."""
CODE = click.Option(
    ["--allow-code"],
    is_flag=True,
    expose_value=False,
    callback=_allow,
    help="Run the function that `data: {source: python}` names.",
)
PLUGIN = click.Option(
    ["--plugin"],
    multiple=True,
    type=TEXT,
    metavar="FILE.py",
    expose_value=False,
    is_eager=True,
    callback=_load,
    help="Run a Python file first, and take what it calls `KINDS`; repeatable.",
)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fac-compiler", prog_name="fac")
def fac() -> None:
    """Compile neural networks whose backward pass is declared."""


def main() -> None:
    """Run the command line, as `fac.__main__` does once it hears signals.

    Exit status: 0 clean, 1 findings, 2 the tool could not do it, 128 and the number of a signal that ended it.
    """
    # Most of what a command makes lives to its end: by default, looking for garbage takes a quarter of the time
    # of a run over many files, and finds none.
    gc.set_threshold(100_000, 50, 100)
    closed = sys.stdout is None
    lasting()
    if closed:
        tell("standard output is closed: nothing could be printed")
        sys.exit(2)
    try:
        hearing(True)
        status = _status()
        hearing(False)
    except KeyboardInterrupt:
        status = _interrupted()
    if reason := unwritten():
        tell(f"cannot write to standard output: {reason}")
        status = max(status, 2)
    over(status)
    sys.exit(status)


def _status() -> int:
    """Run a command, and say what it ended with."""
    try:
        return fac.main(prog_name="fac", standalone_mode=False) or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except click.ClickException as error:
        _misused(error)
        return error.exit_code
    except click.Abort:
        return _interrupted()
    except SpecError as error:
        echo(error, err=True)
        return 1
    except FacError as error:
        tell(f"{error}{adrift()}")
        return 2
    except Exception as error:
        if os.environ.get("FAC_TRACEBACK"):
            raise
        if interrupted():
            return _interrupted()  # libraries wrap what is raised while they are imported
        # Python would exit with 1, which means "findings".
        whose = None if isinstance(error, MemoryError) else _blamed(error)
        if whose is None and (told := refusal(error)):
            tell(f"{told}{adrift()}")
            return 2
        tell(f"{whose or 'internal error, please report it'}: {type(error).__name__}: {error}")
        echo("     (FAC_TRACEBACK=1 shows where)", err=True)
        return 2


def _interrupted() -> int:
    echo("fac: interrupted", err=True)
    return ended_by()


def _blamed(error: Exception) -> str | None:
    """Which plug-in is to blame, if one is."""
    from fac.plugins import blamed  # not at the start of every command

    try:
        return blamed(error)
    except OSError:
        return None  # the system refuses that look, too


def _misused(error: click.ClickException) -> None:
    """As click says it, but for names on the command line that hold more than can be seen."""
    context = getattr(error, "ctx", None)
    if context is not None:
        echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    say(f"Error: {error.format_message()}{_setting(error)}", err=True)


def _setting(error: click.ClickException) -> str:
    """How a setting of the spec is changed that was taken for an option."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    if told := INSTEAD.get((error.ctx.command.name or "", error.option_name)):
        return f" {told}"
    key = SETTINGS.get(error.option_name)
    able = any("--set" in parameter.opts for parameter in error.ctx.command.params)
    return f" The spec says it: write `--set {key}=...`." if key and able else ""
