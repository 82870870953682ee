"""What training moved beside a network that others have: adapters and whole modules, as PEFT keeps them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fac.backend import STEP, Array, Precision
from fac.diagnostics import FacError
from fac.importing.adapting import unlike
from fac.importing.returning import keyed
from fac.program.adapters import BASE, Adapted
from fac.program.program import Node, Program
from fac.program.tensors import Role
from fac.spec.state_dict import StateKey

CONFIG, ARRAYS = "adapter_config.json", "adapter_model.safetensors"
"""The files of PEFT (https://huggingface.co/docs/peft/developer_guides/checkpoint)."""
PREFIX = "base_model.model"
"""What stands before the names of modules in these."""
INNER = ("base_layer", "lora_A", "lora_B", "lora_dropout", "lora_embedding_A", "lora_embedding_B", "default")
"""What it calls modules within one with an adapter."""


@dataclass(frozen=True, slots=True)
class Apart:
    """What the files hold."""

    arrays: dict[str, Array]
    config: str
    """JSON."""
    adapted: tuple[str, ...]
    """The modules with adapters."""
    modules: tuple[str, ...]
    """Those that are kept whole, because something in them moved."""


def apart(program: Program, state: Mapping[str, Array], precision: Precision) -> Apart:
    """All that training moved, by the keys of the module.

    Args:
        program: a network with adapters.
        state: of it.
        precision: of the arrays.

    Raises:
        FacError: something moved that PEFT cannot keep: under an adapter, or in no module of its own.
    """
    owners = {node.name: node.owner for node in program.nodes}
    named = {layer.name: _modules(program, layer, owners) for layer in program.adapted}
    if homeless := [name for name, modules in named.items() if not modules]:
        raise FacError(
            f"PEFT puts adapters beside modules, and {_listed(homeless)} is none of its own in the `state_dict` that "
            f"the spec describes: {_instead(program)}"
        )
    whole = _whole(program, state, precision, {module for modules in named.values() for module in modules})
    arrays, ranks, alphas = dict[str, Array](), dict[str, int](), dict[str, float]()
    for layer in program.adapted:
        for module in named[layer.name]:
            for part, owner in (("lora_A", owners[layer.down]), ("lora_B", owners[layer.up])):
                arrays[f"{PREFIX}.{module}.{part}.weight"] = state[f"{owner}.weight"].astype(precision)
            ranks[module] = layer.adapter.rank
            alphas[module] = layer.adapter.scale * layer.adapter.rank
    arrays |= {f"{PREFIX}.{key}": array for keys in whole.values() for key, array in keys.items()}
    return Apart(arrays, _config(ranks, alphas, whole), tuple(ranks), tuple(whole))


def _modules(program: Program, layer: Adapted, owners: Mapping[str, str]) -> tuple[str, ...]:
    """What the module is called, or the modules are that share its weight; none if no module has it as its weight."""
    owner = owners[layer.base]
    entry = _entries(program).get(f"{owner.removesuffix(f'.{BASE}')}.weight") or StateKey(
        array=f"{layer.name}.weight"
    )
    if entry.shape is not None or not all(key.endswith(".weight") for key in entry.keys):
        return ()
    bases = {layer.base for layer in program.adapted}
    if len(entry.keys) > 1 and any(of == owner and name not in bases for name, of in owners.items()):
        return ()  # which of the keys has the adapter nobody says
    return tuple(key.removesuffix(".weight") for key in entry.keys)


def _entries(program: Program) -> dict[str, StateKey]:
    return {entry.array: entry for entry in program.spec.state_dict}


def _whole(
    program: Program, state: Mapping[str, Array], precision: Precision, adapted: set[str]
) -> dict[str, dict[str, Array]]:
    """The arrays by key of each module in which something moved beside adapters.

    PEFT takes all of a module in the place of what it was, so that what stayed is there as well. It cannot replace
    those that are `adapted`.
    """
    parts = {name for layer in program.adapted for name in (layer.down, layer.up)}
    plain = {layer.base: layer.name for layer in program.adapted}
    nodes = [node for node in program.nodes if node.name not in parts]
    entries, moving = _entries(program), _moving(nodes)
    arrays, moved_names = dict[str, Array](), list[str]()
    for node in nodes:
        own = plain.get(node.name, node.name)
        for tensor in node.state:
            owner = plain.get(tensor.owner, tensor.owner)
            # by each layer that reads it, unless the spec says what modules do: a module may have one of them or all
            name = f"{owner if f'{owner}.{tensor.part}' in entries else own}.{tensor.part}"
            arrays[name] = state[tensor.name]
            if tensor.name in moving:
                moved_names.append(name)
    found = keyed(program, arrays, state[STEP], precision)
    moved = keyed(program, {name: arrays[name] for name in moved_names}, state[STEP], precision)
    if under := [key for key in sorted(moved) if _within(key.rpartition(".")[0], adapted)]:
        raise FacError(
            f"PEFT keeps what lies under an adapter, and {_listed(under)} moved: {_instead(program)}"
        )
    if loose := [key for key in sorted(moved) if "." not in key]:
        raise FacError(
            f"PEFT keeps modules, and {_listed(loose)}, which moved, is in none: {_instead(program)}"
        )
    owners = {key.rpartition(".")[0] for key in moved}
    outermost = {name for name in owners if not _within(name, owners - {name})}
    modules = _meant(outermost, {key.rpartition(".")[0] for key in found})
    for module in sorted(outermost):
        others = [name for name in modules - {module} if _within(name, (module,))]
        if taken := sorted({*others, *(name for layer in adapted for name in _taken(module, layer))}):
            raise FacError(
                f"PEFT finds modules by the ends of their names, and as `{module}`, in which something moved, it "
                f"would take {_listed(taken)}, too: give the layer a name that ends otherwise, or {_instead(program)}"
            )
    return {
        module: {key: array for key, array in found.items() if key.startswith(f"{module}.")}
        for module in sorted(modules)
    }


def _meant(named: set[str], modules: set[str]) -> set[str]:
    """Those and what PEFT takes for them among modules and what these stand in, as their names end alike."""
    paths = {".".join(parts[: n + 1]) for parts in (m.split(".") for m in modules) for n in range(len(parts))}
    return {name for name in paths if name.endswith(tuple(named))}


def _taken(module: str, adapted: str) -> list[str]:
    """What PEFT, told to keep a module whole, takes of another one that has an adapter."""
    excluded = re.match(rf"(^|.*\.){module}($|\..*)", adapted)  # as PEFT asks, which leaves such targets out
    if excluded or adapted.endswith(module) or _within(adapted, (module,)):
        return [adapted]
    return [name for part in INNER if (name := f"{adapted}.{part}").endswith(module)]


def _moving(nodes: Iterable[Node]) -> set[str]:
    """The names of arrays that training moves."""
    return {
        tensor.name
        for node in nodes
        for tensor in node.state
        if tensor.trainable or (tensor.role is Role.STATISTIC and not node.still)
    }


def _within(name: str, modules: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


def _config(ranks: Mapping[str, int], alphas: Mapping[str, float], whole: Iterable[str]) -> str:
    """Ranks and factors that most have stand for all, others by the name of the module."""
    rank, alpha = (Counter(found.values()).most_common(1)[0][0] for found in (ranks, alphas))
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": [*whole] or None,
        # a list means endings of names, too, of which a short one would mean modules that have no adapter
        "target_modules": "|".join(re.escape(name) for name in ranks),
        "rank_pattern": {f"^{re.escape(name)}$": r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {f"^{re.escape(name)}$": a for name, a in alphas.items() if a != alpha},
    }
    return json.dumps(config, indent=2) + "\n"


def _instead(program: Program) -> str:
    """What holds all that moved."""
    if unlike(program) is None:
        return "write all, with adapters merged, `fac export RUN --to state_dict -o model.safetensors`"
    return "write the network with them, `fac export RUN -o model.onnx`"  # there nothing can be merged


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
