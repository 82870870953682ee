"""Which plug-ins of files a run has kinds of, so that who reads it without them, or with others, is told.

What a checkpoint says of them chooses words and nothing else: a file is run because who runs `fac` names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from os.path import basename
from typing import Any

from fac import plugins
from fac.diagnostics import FacError
from fac.pipeline import load
from fac.plugins import files
from fac.spec.base import Model
from fac.spec.model import ModelSpec
from fac.spec.schedules import schedule_of
from fac.training.checkpoint import Checkpoint
from fac.training.metadata import PLUGINS


def kept(spec: ModelSpec) -> dict[str, str]:
    """What a checkpoint says of the files whose kinds a spec has: names by digest; nothing if there are none."""
    found = used(spec)
    return {PLUGINS: json.dumps(found)} if found else {}


def used(spec: ModelSpec) -> dict[str, str]:
    """The names of the files whose kinds a spec has, by their SHA-256."""
    of = {model: plugin for group in plugins.FAMILIES for model, plugin in plugins.foreign(group).items()}
    models = [*_models(spec)]
    if spec.update is not None:  # where a name alone stands for it, it is no model
        models.append(schedule_of(spec.update.schedule))
    # The model of `update:` is made of that of its rule and of what all rules share.
    names = {of[base] for model in models for base in type(model).__mro__ if base in of}
    return {file.digest: basename(file.name) for file in files.known() if file.name in names}


def _models(value: Any) -> Iterator[Model]:
    """All models in a spec."""
    if isinstance(value, Model):
        yield value
        value = [getattr(value, field) for field in type(value).model_fields]
    elif isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _models(item)


def changes(found: Checkpoint) -> tuple[str, ...]:
    """What to say of the plug-ins of a run that are not as they were when it was trained.

    Raises:
        FacError: one is not loaded, and its kinds are not known without it.
    """
    now = {file.digest: basename(file.name) for file in files.named()}
    then: dict[str, str] = json.loads(found.about.get(PLUGINS, "{}"))
    other = {name for digest, name in then.items() if digest not in now}
    changed, gone = sorted(other & {*now.values()}), sorted(other - {*now.values()})
    if gone and not _is_known(found):
        raise FacError(
            f"`{found.place}` was trained with a plug-in that is not loaded, {_listed(gone)}: name its file where it "
            f"lies, as in `--plugin {gone[0]}`, or in the environment, `{files.VARIABLE}`"
        )
    said = []
    if changed:
        said.append(
            f"{_listed(changed)} changed after this run: what the plug-in declares may mean something else now"
        )
    if gone:
        said.append(
            f"this run was trained with {_listed(gone)}, and its kinds are those of another plug-in now"
        )
    return tuple(said)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _is_known(found: Checkpoint) -> bool:
    """Whether all kinds of its spec are."""
    try:
        load(found.document())
    except FacError:
        return False
    return True
