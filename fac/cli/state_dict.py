"""`fac export --to`: the arrays of a checkpoint as PyTorch keeps those of a module, or PEFT those of adapters."""

from __future__ import annotations

from pathlib import Path

from fac.cli.output import echo, say
from fac.diagnostics import FacError
from fac.render.json_text import json_text

ENDINGS = (".safetensors", ".pt")


def export_adapters(checkpoint: Path, output: Path, as_json: bool) -> None:
    """Write the adapters of a network into a folder, as PEFT keeps those of a module.

    Raises:
        FacError: it is no checkpoint, has no adapters or what PEFT cannot keep, or the folder cannot be written.
    """
    from safetensors.numpy import save

    from fac.backend import write_files
    from fac.cli.runs import trained
    from fac.importing.adapting import unlike
    from fac.importing.peft import ARRAYS, CONFIG, apart
    from fac.opening import there
    from fac.pipeline import lowered

    found = trained(checkpoint)
    program = lowered(found.document())
    if not program.adapted:
        raise FacError(f"`{program.spec.name}` has no adapters: `--to state_dict` writes its parameters")
    for name in (ARRAYS, CONFIG):
        if there(output / name):
            raise FacError(f"`{output / name}` exists: name another folder")
    kept = apart(program, found.state, found.precision or "float32")
    write_files(output, {ARRAYS: save(kept.arrays, {"format": "pt"}), CONFIG: kept.config})
    if (pair := unlike(program)) is not None:
        first, second = pair
        say(
            f"`{first}` and `{second}` share a weight and not its adapter: these files are right for a module that has "
            "two modules with one weight, and not for one that it calls twice",
            err=True,
        )
    if as_json:
        shapes = {key: list(array.shape) for key, array in kept.arrays.items()}
        whole = {"modules_to_save": kept.modules}
        echo(json_text({"folder": str(output), "step": found.step, "arrays": shapes} | whole))
        return
    count = len(kept.adapted)
    whole_ones = f" and, whole, {', '.join(f'`{name}`' for name in kept.modules)}" if kept.modules else ""
    say(
        f"{output}: {count} adapter{'s' * (count != 1)}{whole_ones} after step {found.step}, for "
        "`PeftModel.from_pretrained`"
    )


def export(checkpoint: Path, output: Path, as_json: bool) -> None:
    """Write parameters and averages by the keys of the module, in the precision of the training.

    Raises:
        FacError: it is no checkpoint, its adapters cannot be merged, or the file cannot be written.
    """
    from safetensors.numpy import save

    from fac.cli.runs import trained
    from fac.importing.returning import state_dict
    from fac.pipeline import find_saving, lowered
    from fac.writing import write

    if output.suffix not in ENDINGS:
        raise FacError(
            f"`{output}` is no name for a state_dict: give `-o` one that ends in {' or '.join(ENDINGS)}"
        )
    found = trained(checkpoint)
    arrays = state_dict(lowered(found.document()), found.state, found.precision or "float32")
    content = save(arrays) if output.suffix == ENDINGS[0] else find_saving("torch").saved(arrays)
    write(output, content)
    if as_json:
        shapes = {key: list(array.shape) for key, array in arrays.items()}
        echo(json_text({"file": str(output), "step": found.step, "arrays": shapes}))
        return
    say(f"{output}: {len(arrays)} arrays after step {found.step}, for `load_state_dict(..., strict=True)`")
