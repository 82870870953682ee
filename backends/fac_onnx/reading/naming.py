"""What layers are called: after the modules from which an exporter made the nodes, or after their arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from onnx import NodeProto

NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
"""What a layer may be called."""
SCOPES, CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
"""Where the exporter of PyTorch says from which module a node comes, and of which classes these are."""


def path(node: NodeProto) -> str:
    """The module in whose code a node stands, as far as its exporter says; else nothing."""
    scopes = metadata(node, SCOPES)
    if scopes:
        found = scopes[-2] if len(scopes) > 1 else ""
    elif node.name.startswith("/"):
        found = _joined(node.name.split("/")[1:-1])
    else:
        return ""
    return found if NAME.fullmatch(found) else ""


def metadata(node: NodeProto, key: str) -> list[str]:
    """A list that an exporter has written beside a node."""
    text = next((item.value for item in node.metadata_props if item.key == key), "")
    try:
        found = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def owner(array: str, part: str) -> str:
    """The layer of which an array is that part, by its name: `fc` of `fc.weight`; else nothing."""
    found = array.removesuffix(f".{part}")
    return found if found != array and NAME.fullmatch(found) else ""


def leaves(paths: Iterable[str]) -> frozenset[str]:
    """Modules that hold no others."""
    found = frozenset(filter(None, paths))
    above = {name.rpartition(".")[0] for name in found}
    above |= {parent for name in found for parent in _above(name)}
    return found - above


def _above(name: str) -> Iterable[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _joined(scopes: Iterable[str]) -> str:
    """`layer1.0.conv1` of `layer1`, `layer1.0`, `conv1`: what is in a list of modules repeats the name of the list."""
    found = list[str]()
    for scope in scopes:
        parts = scope.split(".")
        again = (
            i
            for i in range(len(found))
            if parts[: len(found) - i] == found[i:] and len(parts) > len(found) - i
        )
        found = [*found[: next(again, len(found))], *parts]
    return ".".join(found)
