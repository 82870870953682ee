"""What `fac show` says of a spec whose parameters are solved for."""

from __future__ import annotations

from typing import Any

from fac.program.lower import kind_of
from fac.program.program import Node, Program
from fac.render.columns import columns
from fac.render.show import binary, number

HEADER = ("layer", "kind", "output", "params", "solve", "features", "outputs", "rows", "targets back through")


def layers(program: Program) -> str:
    """The table of layers with parameters, and one line that sums up.

    Args:
        program: without findings of the severity `error`, that has a `solve`.
    """
    found = as_json(program)
    rows = []
    for layer in found["layers"]:
        if not layer["parameters"]:
            continue
        solve = layer["solve"]
        cells = ("-",) * 5
        if solve is not None:
            cells = (
                str(solve["number"]),
                number(solve["features"]),
                number(solve["outputs"]),
                f"N x {number(solve['places'])}" if solve["places"] > 1 else "N",
                ", ".join(solve["through"]) or "-",
            )
        output = "x".join(map(str, layer["output"]))
        rows.append((layer["name"], layer["kind"], output, number(layer["parameters"]), *cells))
    solve = dict(found["solve"])
    rule, memory = solve.pop("rule"), solve.pop("bytes")
    settings = ", ".join(f"{name} {value:g}" for name, value in solve.items())
    line = f"{rule} ({settings}): one after the other, each on all N training samples     memory of the largest: "
    return f"{columns(HEADER, rows)}\n {line}{binary(memory)}\n"


def as_json(program: Program) -> dict[str, Any]:
    """The same as plain data."""
    spec = program.spec.solve
    assert spec is not None
    kind = kind_of("fac.solve", spec)
    order = kind.order(spec, program)
    return {
        "spec": program.spec.name,
        "parameters": sum(node.parameters for node in program.nodes),
        "layers": [_layer(program, order, node) for node in program.nodes],
        "solve": {**spec.model_dump(), "bytes": max(kind.memory(spec, node) for node in order)},
    }


def _layer(program: Program, order: tuple[Node, ...], node: Node) -> dict[str, Any]:
    assert node.shape is not None
    solve = None
    if node in order and node.weight is not None:
        above = program.nodes[program.nodes.index(node) + 1 :]
        solve = {
            "number": order.index(node) + 1,
            "features": node.weight.writes,
            "outputs": node.weight.reads,
            "places": node.places,
            "through": [layer.name for layer in reversed(above)],
        }
    return {
        "name": node.name,
        "kind": kind_of("fac.layers", node.layer).name,
        "inputs": list(node.inputs),
        "output": list(node.shape),
        "parameters": node.parameters,
        "solve": solve,
    }
