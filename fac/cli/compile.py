"""`fac compile`: the artifact of a spec in a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fac.cli.output import echo, say
from fac.cli.passes import disabling
from fac.cli.paths import PATH
from fac.diagnostics import FacError
from fac.render.json_text import json_text

if TYPE_CHECKING:
    from fac.backend import Artifact, Parameters, Precision


@click.command("compile")
@click.argument("spec")
@click.option("--backend", help="Default: the first usable of torch, onnx, reference.")
@click.option("-o", "--output", type=PATH, help="Folder. Default: `build/NAME`.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option(
    "--parameters",
    type=click.Choice(("constants", "inputs")),
    help="Of the written forward pass, for backends that have the choice: onnx, where constants are the default.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the spec; repeatable.")
@disabling
@click.option(
    "--check", is_flag=True, help="Write nothing: status 1 if the folder is not what would be written."
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@click.pass_context
def compile_(
    context: click.Context,
    spec: str,
    backend: str | None,
    output: Path | None,
    precision: Precision | None,
    parameters: Parameters | None,
    overrides: tuple[str, ...],
    disable: tuple[str, ...],
    check: bool,
    as_json: bool,
) -> None:
    """Compile SPEC into a folder: code, initial state and a manifest. The `data` section is not needed."""
    from fac.cli.earlier import listed, replaced, require_artifact
    from fac.experiments.backends import chosen
    from fac.opening import reason
    from fac.pipeline import compile
    from fac.writing import staged, sweep

    chosen_name = chosen(backend).name
    artifact = compile(spec, chosen_name, precision, overrides, disable)
    if parameters is not None:
        if artifact.parameters is None:
            raise FacError(
                f"the backend `{chosen_name}` has no choice of `--parameters`: leave the option out"
            )
        artifact.parameters = parameters
    if output is None:
        output = Path("build") / (re.sub(r"[^\w.-]+", "-", artifact.compiled.name).strip("-.") or "artifact")
    if check:
        context.exit(_checked(output, artifact, chosen_name, as_json=as_json))
    sweep(output)
    require_artifact(output)

    def refused(error: OSError) -> FacError:
        return FacError(f"cannot write to `{output}`: {reason(error)}")

    files: dict[str, int] = {}
    # what another backend left would be taken for a part of this artifact
    with staged(output, gone=lambda: replaced(output, files), refused=refused) as place:
        artifact.write(place)
        files |= {name: (place / name).stat().st_size for name in listed(place) or ()}
    if json.loads(artifact.compiled.spec)["train"].get("prealign"):
        say(
            "the initial state is not pre-aligned, which takes data: `fac train` does it before the first step",
            err=True,
        )
    if as_json:
        found = {
            "spec": artifact.compiled.name,
            "spec_hash": artifact.compiled.spec_hash,
            "backend": chosen_name,
            "precision": artifact.precision,
            "directory": str(output),
            "files": list(files),
        }
        echo(json_text(found))
        return
    say(f"`{artifact.compiled.name}` for {chosen_name} ({artifact.precision}) in `{output}`:")
    for name, size in files.items():
        say(f" {size:>12,} bytes  {name}")


def _checked(output: Path, artifact: Artifact, backend: str, *, as_json: bool) -> int:
    """Say whether a folder is what would be written: the exit status."""
    from fac.cli.standing import stale

    found = stale(output, artifact, backend)
    if as_json:
        echo(json_text({"directory": str(output), "stale": bool(found), "reasons": found}))
        return bool(found)
    for reason in found:
        say(f"`{output}` is stale: {reason}")
    say("compile it anew, without `--check`" if found else f"`{output}` is what would be written")
    return bool(found)


COMMAND = compile_
