"""`fac init`: a spec to start from, a repository that checks its specs, or a plug-in with its tests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from importlib import resources
from importlib.metadata import packages_distributions, version
from keyword import iskeyword
from pathlib import Path
from shlex import quote
from types import MappingProxyType

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import TEXT
from fac.diagnostics import FacError
from fac.escaping import visible
from fac.lint import reading
from fac.opening import there
from fac.writing import replacing, sweep, unwritable

NAME = "spec.fac.yaml"
SUFFIXES = (".fac.yaml", ".fac.yml")
SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
STARTER = "starter.fac.yaml"
REPOSITORY = {
    "specs/digits.fac.yaml": STARTER,
    "fac.toml": "templates/fac.toml",
    ".github/workflows/fac.yml": "templates/github.yml",
    ".gitlab-ci.yml": "templates/gitlab.yml",
    ".pre-commit-config.yaml": "templates/pre-commit.yaml",
}
"""What `--ci` writes, and from what."""
PLUGIN = "PLUGIN"
"""What templates of a plug-in call it."""
PLUGIN_FILES = {
    f"{PLUGIN}.py": "templates/plugin/plugin.py",
    f"test_{PLUGIN}.py": "templates/plugin/test_plugin.py",
    f"{PLUGIN}.fac.yaml": "templates/plugin/plugin.fac.yaml",
}
"""What `--plugin` writes, and from what."""


@click.command("init")
@click.argument("path", type=TEXT, required=False)
@click.option("--ci", is_flag=True, help="Write a repository that checks its specs: PATH is its folder.")
@click.option(
    "--install",
    metavar="REQUIREMENT",
    callback=not_empty,
    help="With --ci: what the files install, such as git+https://HOST/OWNER/fac@REVISION.  [this version]",
)
@click.option(
    "--plugin",
    metavar="NAME",
    type=TEXT,
    callback=not_empty,
    help="Write a folder of that name: a plug-in with a layer, a feedback operator, a way to learn, a rule and an "
    "update, its tests and a spec.",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def COMMAND(path: str | None, ci: bool, install: str | None, plugin: str | None, force: bool) -> None:
    """Write a starter spec to PATH that trains within seconds.

    PATH is a file that ends in .fac.yaml, or a folder that exists or is made if PATH ends in a slash; the default
    is spec.fac.yaml. With --ci it is the folder of a repository, by default the current one: specs, settings, and
    what GitHub, GitLab and pre-commit need to check them.

    With --plugin NAME it is the folder of a plug-in, kinds of one's own in a Python file: `pytest NAME` passes at once.
    """
    if plugin is not None and (path or ci):
        raise click.UsageError(f"--plugin names the folder that it writes: remove {'--ci' if ci else 'PATH'}")
    if install and not (install.strip() and install.isprintable()):
        raise click.UsageError("--install takes one line that names what to install")
    if install and not ci:
        raise click.UsageError("--install is about the files of a CI: add --ci")
    if plugin is not None:
        _plugin(plugin, force)
    elif ci:
        _repository(path or os.curdir, install or f"fac-compiler=={version('fac-compiler')}", force)
    else:
        _spec(path or NAME, force)


def _spec(path: str, force: bool) -> None:
    file = _file(path)
    sweep(file.parent)
    _write({file: _text(STARTER)}, force, parents=path.endswith(SEPARATORS))
    shown = visible(quote(str(file)))
    schema = visible(quote(str(file.parent / "fac.v1.schema.json")))
    echo(
        f"wrote {visible(str(file))}\n\n"
        "next:\n"
        f"  fac check {shown}\n"
        f"  fac show {shown}\n"
        f"  fac train {shown}\n"
        f"  fac schema > {schema}    # completion and hover texts in editors"
    )


def _repository(path: str, install: str, force: bool) -> None:
    """Write what is not there yet; tell what was written and what was not.

    Raises:
        FacError: a file cannot be written, or all of them exist.
    """
    if path.endswith(SUFFIXES):
        raise FacError(f"`{path}` is the name of a spec: `--ci` takes the folder of a repository")
    folder = Path(path)
    files = {folder / name: template for name, template in REPOSITORY.items()}
    settings = reading.in_folder(path)
    if settings is not None and Path(settings) not in files:
        del files[folder / reading.OWN]  # a folder has one file of settings
    for place in {file.parent for file in files}:
        sweep(place)
    kept = _kept(folder, files, force)
    # In a line of shell, and in a list of YAML.
    words = {"@package@": quote(install), "@listed@": json.dumps(install)}
    _write({file: _text(files[file], words) for file in files if file not in kept}, force, parents=True)
    _told(files, kept)
    enter = [] if folder.samefile(os.curdir) else [f"cd {quote(str(folder))}"]
    lines = [
        *enter,
        "fac check",
        "pre-commit install    # checks what is about to be committed",
        "fac schema > specs/fac.v1.schema.json    # completion and hover texts in editors",
    ]
    echo("\nnext:\n" + "\n".join(f"  {visible(line)}" for line in lines))
    if reading.top(path) != os.path.abspath(path):
        echo()
        say(f"A CI reads its files at the top of the repository only: move them to `{reading.top(path)}`.")
    if kept:
        echo("\nTo add to a file that was kept, see what `fac init --ci new-folder/` writes in its place.")


def _kept(folder: Path, files: Iterable[Path], force: bool) -> list[Path]:
    """Those that are there already, as after a call that was cut off.

    Raises:
        FacError: all of them.
    """
    kept = [] if force else [file for file in files if there(file)]
    if kept == [*files]:
        raise FacError(f"all files exist in `{folder}`: `--force` overwrites them")
    return kept


def _told(files: Iterable[Path], kept: list[Path]) -> None:
    for file in files:
        say(f"kept  {file}, which exists" if file in kept else f"wrote {file}")


def _plugin(path: str, force: bool) -> None:
    """Write a plug-in, whose kinds are called after its folder so that two of them go together.

    Raises:
        FacError: it cannot be called so, a file cannot be written, or all of them exist.
    """
    folder = Path(path)
    name = folder.name
    if not (name.isidentifier() and name.isascii()) or iskeyword(name):
        raise FacError(
            f"`{path}` is no name for a plug-in: its folder and its kinds take a Python name, `my_rule`"
        )
    if name in sys.stdlib_module_names or name in packages_distributions():
        # its tests have the folder on the path of modules
        raise FacError(
            f"a module of Python's is called `{name}`, which the plug-in would hide: take another name"
        )
    sweep(folder)
    words = {PLUGIN: name}
    texts = {folder / file.replace(PLUGIN, name): _text(of, words) for file, of in PLUGIN_FILES.items()}
    kept = _kept(folder, texts, force)
    _write({file: text for file, text in texts.items() if file not in kept}, force, parents=True)
    _told(texts, kept)
    own, *_, spec = (visible(quote(str(file))) for file in texts)
    echo(
        "\nnext:\n"
        f"  pytest {visible(quote(str(folder)))}    # pip install 'fac-compiler[testing]'\n"
        f"  fac check {spec} --plugin {own}\n"
        f"  fac train {spec} --plugin {own}"
    )


def _text(name: str, words: Mapping[str, str] = MappingProxyType({})) -> str:
    text = resources.files("fac.cli").joinpath(name).read_text("utf-8")
    for word, meant in words.items():
        text = text.replace(word, meant)
    return text


def _write(texts: Mapping[Path, str], force: bool, parents: bool) -> None:
    """Write files, which by default must be new: each is whole, and none is there before all texts are on the disk.

    Raises:
        FacError: one exists, or cannot be written.
    """
    with ExitStack() as stack:
        for file, text in texts.items():
            try:
                if parents:
                    file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(file, error) from error
            if not force and there(file):
                raise FacError(f"`{file}` exists: `--force` overwrites it")
            written = stack.enter_context(replacing(file, new=not force))
            written.write(text.encode())
            written.flush()
            os.fsync(written.fileno())


def _file(path: str) -> Path:
    """The file that PATH stands for.

    Raises:
        FacError: a file of that name would not be found in its folder.
    """
    if path.endswith(SEPARATORS) or Path(path).is_dir():
        return Path(path) / NAME
    if not path.endswith(SUFFIXES):
        stem = path.removesuffix(".json").removesuffix(".yaml").removesuffix(".yml").removesuffix(".fac")
        raise FacError(
            f"`{path}` is no name for a spec, which `fac check .` would not find: write `{stem}.fac.yaml`, or "
            f"`{path}/` for a folder"
        )
    return Path(path)
