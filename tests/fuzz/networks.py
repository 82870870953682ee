"""Networks that fit together: tokens, words, sequences, shared weights, masks, several inputs and losses.

A grammar of all keys (`tests/fuzz/grammar.py`) makes specs that rarely fit, and so next to none with an attention in it
that is compiled. Here layers are chosen by the shape that they read. About one in five is refused all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.choices import Choices

Layer = dict[str, Any]
Shape = tuple[int, ...]

T, D, V = 4, 4, 6
"""Tokens, their channels, and how many words there are."""
CLASSES = 3
ACTIVATIONS = ("relu", "tanh", "gelu", "leaky_relu", "silu", "sigmoid")
RULES: tuple[dict[str, Any], ...] = (
    {"rule": "bp"},
    {"rule": "ldfa", "rank": 2},
    {"rule": "fa"},
    {"rule": "dfa"},
    {"rule": "drtp", "mask": {"per_unit": 1}},
    {"rule": "dfa", "mask": {"per_unit": 2}, "shared": True, "learn": {"rule": "kolen_pollack"}},
    {"rule": "direct_ldfa", "rank": 2},
    {"rule": "shallow"},
    {"rule": "frozen"},
    {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
    {"rule": "dfa", "learn": {"rule": "forward_gradient"}},
    {"rule": "ldfa", "rank": 1, "learn": "local"},
    {"rule": "ldfa", "rank": 2, "learn": "normative"},
)
UPDATES: tuple[dict[str, Any], ...] = (
    {"rule": "sgd", "lr": 0.05},
    {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    {"rule": "adamw", "lr": 0.01, "clip": {"by": "norm", "at": 0.5}},
    {"rule": "adam", "lr": 0.01, "groups": ({"match": "*.bias", "lr_scale": 2.0},)},
    {
        "rule": "sgd",
        "lr": 0.05,
        "groups": ({"match": "*.weight", "keep": 1}, {"match": "*.bias", "trainable": False}),
    },
)
MATRICES: tuple[dict[str, Any], ...] = (
    {"kind": "random"},
    {"kind": "low_rank", "rank": 2},
    {"kind": "random", "learn": {"rule": "kolen_pollack"}},
)


def network(choices: Choices) -> dict[str, Any]:
    """A spec in plain data."""
    return _Draft(choices).spec()


@dataclass
class _Draft:
    choices: Choices
    layers: list[Layer] = field(default_factory=list)
    shape: Shape = ()
    """Of what the last layer makes."""
    shapes: dict[str, Shape] = field(default_factory=dict)
    """Of named values."""
    linears: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What linear layers read and make."""
    tables: list[str] = field(default_factory=list)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The first is read first."""

    def spec(self) -> dict[str, Any]:
        """All sections."""
        pick, one = self.choices.pick, self.choices.one
        self._begin()
        for _ in range(pick(5)):
            self._grow()
        losses = list(self._losses())
        data: dict[str, Any] = {"fac": 1, "name": "drawn"}
        if len(self.inputs) > 1 or pick(4) == 3:
            data["inputs"] = self.inputs
        else:
            (data["input"],) = self.inputs.values()
            self.layers[0].pop("from", None)
        data["layers"] = tuple(self.layers)
        if len(losses) > 1 or pick(6) == 5:
            data["losses"] = tuple(losses)
        else:
            data["loss"] = {k: v for k, v in losses[0].items() if k not in ("of", "scale")}
        feedback = one(RULES) if pick(3) else self._routes(losses)
        return data | {"feedback": feedback, "update": one(UPDATES)}

    # -- the beginning and the end -----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Inputs, and the first layers, which make tokens or a vector."""
        words: dict[str, Any] = {"shape": (T,), "classes": V}
        kinds: tuple[tuple[str, dict[str, Any]], ...] = (
            ("tokens", {"shape": (T, D)}),
            ("words", words),
            ("image", {"shape": (1, T, T)}),
            ("vector", {"shape": (D,)}),
        )
        name, first = self.choices.one(kinds)
        self.inputs[name] = first
        if len(first["shape"]) < 3 and name != "vector" and self.choices.pick(3) == 2:
            self.inputs["kept"] = {"shape": (T,), "mask": True}
        again = name in ("tokens", "vector") and self.choices.pick(4) == 3
        if again:
            self.inputs["other"] = first
        self.shape = first["shape"]
        match name:
            case "words" if self.choices.pick(4) == 3:
                self._add({"kind": "one_hot"}, (T, V), name="ones", read=name)
            case "words":
                table = {"kind": "embedding", "out": D}
                if self.choices.pick(2):
                    table |= {"num_embeddings": V + self.choices.pick(2), "padding_idx": 0}
                self.tables += ["table"] * (table.get("num_embeddings", V) == V)
                self._add(table, (T, D), name="table", read=name)
            case "image":
                self._add({"kind": "patch_embed", "patch": 2, "out": D}, (T, D), name="patches", read=name)
            case _:
                self._linear(read=name)
        if again:
            kept, tie = self.layers[-1]["name"], self.choices.pick(2)
            out = self.linears[kept][1]
            twin = {"kind": "linear", "out": out} | ({"tie": kept} if tie else {})
            self._add(twin, (*first["shape"][:-1], out), name="twin", read="other")
            if self.choices.pick(2) and len(self.shape) == 2 and out == D:
                self._add({"kind": "attention", "heads": 2}, self.shape, read=("twin", kept))
            else:
                self._add({"kind": self.choices.one(("add", "multiply"))}, self.shape, read=("twin", kept))

    def _losses(self) -> Iterator[Layer]:
        """The head and its loss, and perhaps that of another one in the middle."""
        middle = [name for name, shape in self.shapes.items() if len(shape) == 1]
        one, pick = self.choices.one, self.choices.pick
        masked: Layer = {}
        if len(self.shape) == 2 and not pick(3):
            if "kept" in self.inputs and self.shape[0] == T:
                masked = {"mask": "kept"}
            if self.tables and self.shape[1] == D and pick(2):
                head: Layer = {"kind": "linear", "out": V, "tie": self.tables[0], "bias": False}
            else:
                head = {"kind": "linear", "out": CLASSES}
        else:
            self._reduced()
            head = {"kind": "linear", "out": CLASSES}
        self._add(head, (*self.shape[:-1], head["out"]), name="logits")
        losses: tuple[Layer, ...] = (
            {"kind": "cross_entropy"},
            {"kind": "cross_entropy", "label_smoothing": 0.1, "ignore_index": 0},
            {"kind": "mse"},
            {"kind": "bce"},
            {"kind": "huber"},
        )
        yield {"of": "logits", **one(losses), **masked}
        if middle and pick(2):
            self._add({"kind": "linear", "out": CLASSES}, (CLASSES,), name="aux", read=one(middle))
            target = {} if pick(2) else {"target": "label"}
            yield {"of": "aux", "scale": 0.3, **one(losses), **target}

    def _reduced(self) -> None:
        """A vector, of whatever there is."""
        if len(self.shape) == 1:
            return
        steps, width = self.shape
        mean: Layer = {"kind": "mean", "axes": (0,)}
        if "kept" in self.inputs and steps == T:
            mean["mask"] = "kept"
        rows: Layer = {"kind": self.choices.one(("rnn", "gru")), "out": D}
        found, size = self.choices.one(
            (
                (mean, width),
                ({"kind": "select", "index": 0}, width),
                ({"kind": "flatten"}, steps * width),
                (rows, D),
            )
        )
        self._add(found, (size,), name="pooled")

    # -- the middle --------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """One more layer, or block."""
        pick, one = self.choices.pick, self.choices.one
        if len(self.shape) == 1 and pick(2):
            self._linear()
            return
        if len(self.shape) == 1:
            self._add({"kind": one((*ACTIVATIONS, "layer_norm", "dropout"))})
            return
        match pick(10):
            case 0:
                self._add(self._residual())
            case 1:
                body = (
                    (self._residual(),)
                    if pick(2)
                    else ({"kind": "linear", "out": self.shape[1]}, {"kind": "tanh"})
                )
                self._add({"kind": "repeat", "times": 2, "tie": bool(pick(2)), "body": body})
            case 2:
                self._linear()
            case 3:
                place = {"kind": "positional_embedding"} | ({"sinusoidal": True} if pick(2) else {})
                self._add(place)
            case 4 if "kept" not in self.inputs:
                self._add({"kind": "class_token"}, (self.shape[0] + 1, self.shape[1]))
            case 5:
                self._add({"kind": one(("rnn", "gru")), "out": D, "gather": True}, (self.shape[0], D))
            case 6:
                self._add(self._attention())
            case 7:
                cell: tuple[Layer, ...] = (
                    {"kind": "linear", "name": "read", "out": D, "from": "token"},
                    {"kind": "linear", "name": "kept", "out": D, "from": "input"},
                    {"kind": "add", "from": ("read", "kept")},
                    {"kind": "tanh"},
                )
                steps = self._add({"kind": one(("layer_norm", "rms_norm"))})
                self._add({"kind": "zeros", "shape": (D,)}, (D,))
                unrolled = {"kind": "repeat", "times": self.shapes[steps][0], "steps": steps, "body": cell}
                self._add(unrolled | {"tie": bool(pick(4)), "gather": True}, (self.shapes[steps][0], D))
            case 8:
                mixed = {"kind": "permute", "axes": (1, 0)}
                self._add(mixed, self.shape[::-1])
                self._linear(self.shape[1])
                self._add(mixed, self.shape[::-1])
            case _:
                self._add({"kind": one(ACTIVATIONS)})

    def _residual(self) -> Layer:
        """Of a norm, and of attention or of two layers."""
        norm = {"kind": self.choices.one(("layer_norm", "rms_norm"))}
        mlp: Layer = {"kind": "mlp", "ratio": 2, "activation": ({"kind": self.choices.one(ACTIVATIONS)},)}
        body = norm, (self._attention() if self.choices.pick(2) else mlp)
        return {"kind": "residual", "body": body}

    def _attention(self) -> Layer:
        """Of as many heads as divide the channels, over all tokens, those before, or those that count."""
        pick, width = self.choices.pick, self.shape[1]
        found: Layer = {"kind": "attention", "heads": 2 if width % 2 == 0 else 1}
        found |= ({}, {"causal": True}, {"fused": False}, {"kv_heads": 1})[pick(4)]
        if "kept" in self.inputs and self.shape[0] == T:
            found["mask"] = "kept"
        if pick(4) == 3 and width % 4 == 0:
            found["rotary"] = 10.0
        return found

    def _linear(self, width: int | None = None, read: str | None = None) -> None:
        """One that may share the weight of one before."""
        size = self.inputs[read]["shape"][-1] if read else self.shape[-1]
        out = width or self.choices.one((D, 6))
        alike = [name for name, sizes in self.linears.items() if sizes == (size, out)]
        tie = {"tie": alike[0]} if alike and self.choices.pick(2) else {}
        shape = self.inputs[read]["shape"] if read else self.shape
        name = self._add({"kind": "linear", "out": out, **tie}, (*shape[:-1], out), read=read)
        if not tie:
            self.linears[name] = size, out

    def _add(
        self,
        layer: Layer,
        shape: Shape | None = None,
        name: str | None = None,
        read: str | tuple[str, ...] | None = None,
    ) -> str:
        """One more layer, of this shape, or of that of what it reads."""
        name = name or f"n{len(self.layers)}"
        self.layers.append({**layer, "name": name} | ({"from": read} if read else {}))
        self.shape = self.shapes[name] = self.shape if shape is None else shape
        return name

    def _routes(self, losses: list[Layer]) -> dict[str, Any]:
        """A long form: some linear layers get their errors by routes of their own."""
        one, pick = self.choices.one, self.choices.pick
        subspaces: list[Layer] = []
        routes: list[Layer] = []
        for name in self.linears:
            end = ("to", "through", "")[pick(3)]
            route: Layer = {end: name, "matrix": one(MATRICES)}
            if end == "to":
                source = one([str(loss["of"]) for loss in losses])
                if pick(3) == 2 and not subspaces:
                    subspaces.append({"name": "task", "of": source, "rank": 2, "basis": {"rule": "oja"}})
                    source, route["matrix"] = "task", {"kind": "random"}
                route |= {"from": source, "combine": one(("replace", "add"))}
            routes += [route] if end else []
        return {"routes": tuple(routes)} | ({"subspaces": tuple(subspaces)} if subspaces else {})
