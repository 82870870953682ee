"""Time of one step of fine-tuning: low-rank routes through frozen weights against eager torch with the same adapters.

Every weight is frozen and has an adapter of rank 8 beside it (LoRA), but for the last layer, which learns; SGD with
momentum 0.9, cross-entropy over 10 classes, float32, one thread, process CPU time. Errors pass the adapters exactly,
and the frozen weights by fixed factors of rank r. The baseline is what a torch user writes: modules with
`requires_grad_(False)`, autograd, `torch.optim.SGD(fused=True)`, under the setting of float32 products that a session
of fac uses, and under torch's own.

* `mlp 2048`, `mlp 4096`: 784-W-W-W-W-10, ReLU, batch 128, r = 64. By hand is the step that the routes make, in torch
  without autograd; the floor are the four products with frozen weights alone, which no rule can leave out.
* `block`: two blocks of a vision transformer, 384 wide, 64 tokens, batch 64, r = 16.

Before it is timed, every contender is checked in float64: backpropagation against autograd, routes against the NumPy
reference, the step by hand against both. While it is timed the learning rate is 0, as in `step_time`.

    python -m benchmarks.finetune
    python -m benchmarks.finetune --networks block --rounds 40
    python -m benchmarks.finetune --networks block --profile routes    # milliseconds by line of the step
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fac
from benchmarks.eager import EagerTraining, deviation, flagged
from benchmarks.line_times import line_times
from benchmarks.machine import machine, one_thread, quartiles, ratio, rounds, table
from fac.backend import Precision, Session
from fac_torch.device import float32_products

RESULTS = Path(__file__).parent / "results" / "finetune.json"
CLASSES, LR, TIMED_LR, MOMENTUM = 10, 0.05, 0.0, 0.9
ADAPTER = {"kind": "lora", "rank": 8, "alpha": 16}
EAGER, DEFAULT, HAND, FLOOR = "eager, same flags", "eager, default flags", "routes, by hand", "floor"
TARGETS = {"mlp 2048": 1.75, "mlp 4096": 1.85, "block": 1.35}
"""How many times faster than eager with the same flags a step with routes shall be."""
STEPS, TOLERANCE = 3, 1e-9


class Adapted(nn.Module):
    """W x + b + s B A x, of which A and B learn."""

    def __init__(self, reads: int, makes: int) -> None:
        super().__init__()
        rank = ADAPTER["rank"]
        assert isinstance(rank, int)
        self.base_layer = nn.Linear(reads, makes).requires_grad_(False)
        self.lora_A, self.lora_B = nn.Linear(reads, rank, bias=False), nn.Linear(rank, makes, bias=False)
        self.scale = 16 / rank

    def forward(self, x: Tensor) -> Tensor:
        """[..., makes]."""
        found: Tensor = self.base_layer(x) + self.lora_B(self.scale * self.lora_A(x))
        return found


class SelfAttention(nn.Module):
    """Queries, keys and values by one weight, as fac has them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = Adapted(width, 3 * width), Adapted(width, width), heads

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        found: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        return found


class Block(nn.Module):
    """Pre-norm, with frozen norms."""

    def __init__(self, width: int, wide: int, heads: int) -> None:
        super().__init__()
        self.one, self.attn = nn.LayerNorm(width).requires_grad_(False), SelfAttention(width, heads)
        self.two = nn.LayerNorm(width).requires_grad_(False)
        self.fc1, self.fc2 = Adapted(width, wide), Adapted(wide, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        h: Tensor = x + self.attn(self.one(x))
        total: Tensor = h + self.fc2(F.gelu(self.fc1(self.two(h))))
        return total


class Mean(nn.Module):
    """Over the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, d]."""
        found: Tensor = x.mean(1)
        return found


class Mlp:
    """Four adapted layers of one width."""

    def __init__(self, width: int, reads: int = 784, rank: int = 64, batch: int = 128) -> None:
        self.rank, self.batch, self.shape, self.width = rank, batch, [reads], width

    def layers(self) -> list[dict[str, Any]]:
        """As the spec writes them."""
        found: list[dict[str, Any]] = []
        for i in range(4):
            found += [{"kind": "linear", "name": f"fc{i + 1}", "out": self.width}, {"kind": "relu"}]
        return found

    def modules(self) -> nn.Module:
        """The same."""
        found: list[nn.Module] = []
        for reads in (self.shape[0], *[self.width] * 3):
            found += [Adapted(reads, self.width), nn.ReLU()]
        return nn.Sequential(*found, nn.Linear(self.width, CLASSES))


class Transformer:
    """Two blocks between an embedding, which is frozen, and the mean over tokens."""

    def __init__(
        self, width: int = 384, wide: int = 768, heads: int = 8, tokens: int = 64, rank: int = 16
    ) -> None:
        self.width, self.wide, self.heads, self.rank = width, wide, heads, rank
        self.batch, self.shape = 64, [tokens, 48]

    def layers(self) -> list[dict[str, Any]]:
        """As the spec writes them."""
        norm = {"kind": "layer_norm", "name": "norm", "trainable": False}
        mlp = {"kind": "mlp", "name": "mlp", "ratio": self.wide / self.width}
        mix = [norm, {"kind": "attention", "name": "attn", "heads": self.heads}]
        body = [
            {"kind": "residual", "name": "mix", "body": mix},
            {"kind": "residual", "name": "feed", "body": [norm, mlp]},
        ]
        return [
            {"kind": "linear", "name": "embed", "out": self.width, "trainable": False},
            {"kind": "repeat", "name": "block", "times": 2, "body": body},
            {"kind": "mean", "axes": [0]},
        ]

    def modules(self) -> nn.Module:
        """The same."""
        embed = nn.Linear(self.shape[1], self.width).requires_grad_(False)
        blocks = [Block(self.width, self.wide, self.heads) for _ in range(2)]
        return nn.Sequential(embed, *blocks, Mean(), nn.Linear(self.width, CLASSES))


Network = Mlp | Transformer
NETWORKS: dict[str, Network] = {"mlp 2048": Mlp(2048), "mlp 4096": Mlp(4096), "block": Transformer()}
SMALL: dict[str, Network] = {
    "mlp 2048": Mlp(24, reads=11, rank=5, batch=6),
    "mlp 4096": Mlp(20, reads=11, rank=5, batch=6),
    "block": Transformer(16, 24, 2, 5, rank=3),
}
"""For checks."""


def spec(rule: str, network: Network) -> dict[str, Any]:
    """Backpropagation, or routes."""
    fixed = {"read": {"rule": "fixed"}, "write": {"rule": "fixed"}}
    low_rank = {"kind": "low_rank", "rank": network.rank, **fixed}
    return {
        "fac": 1,
        "name": "finetune",
        "input": {"shape": network.shape},
        "layers": [*network.layers(), {"kind": "linear", "name": "logits", "out": CLASSES}],
        "adapters": [{"match": "fc*" if isinstance(network, Mlp) else "block.*", **ADAPTER}],
        "loss": {"kind": "cross_entropy"},
        "feedback": {"routes": [{"through": "*.base_layer", "matrix": low_rank}] if rule == "routes" else []},
        "update": {"rule": "sgd", "lr": LR, "momentum": MOMENTUM},
    }


def session(rule: str, network: Network, backend: str, precision: Precision) -> Session:
    """On the CPU, with B away from zero, where some products would be of zeros."""
    found = fac.compile(spec(rule, network), backend=backend, precision=precision).open(device="cpu")
    rng, state = np.random.default_rng(0), found.state()
    ups = [name for name in state if name.endswith("lora_B.weight")]
    found.load_state(state | {name: 0.1 * rng.standard_normal(state[name].shape) for name in ups})
    return found


class Eager(EagerTraining):
    """The same network in the way that a torch user writes it."""

    def __init__(self, network: Network, state: dict[str, Any], dtype: torch.dtype, lr: float) -> None:
        """With parameters of fac, in whose order modules have theirs."""
        self.net = network.modules().to(dtype)
        parts = ("base_layer.weight", "base_layer.bias", "lora_A.weight", "lora_B.weight")
        self.names = [
            name for name in state if name.endswith((".weight", ".bias")) and ".feedback." not in name
        ]
        assert all(sum(name.endswith(part) for name in self.names) for part in parts)
        held = list(self.net.parameters())
        for name, parameter in zip(self.names, held, strict=True):
            parameter.data.copy_(torch.from_numpy(state[name]))
        learning = [parameter for parameter in held if parameter.requires_grad]
        self.optimiser = torch.optim.SGD(learning, lr=lr, momentum=MOMENTUM, fused=True)

    def state(self) -> dict[str, Any]:
        """Under the names of fac."""
        found = (p.detach().numpy() for p in self.net.parameters())
        return dict(zip(self.names, found, strict=True))


class ByHand:
    """The step that routes make through an `Mlp`, as one would write it in torch: no line more."""

    def __init__(self, state: dict[str, Any], lr: float) -> None:
        self.s = {name: torch.from_numpy(np.array(a)) for name, a in state.items()}
        self.lr = lr

    @torch.no_grad()
    def step(self, x: Tensor, y: Tensor) -> None:
        """Forward, errors, updates."""
        s, h, low = self.s, [x], []
        for k in ("fc1", "fc2", "fc3", "fc4"):
            z = torch.addmm(s[f"{k}.base_layer.bias"], h[-1], s[f"{k}.base_layer.weight"].T)
            low.append(torch.mm(h[-1], s[f"{k}.lora_A.weight"].T).mul_(2))
            h.append(torch.relu_(z.addmm_(low[-1], s[f"{k}.lora_B.weight"].T)))
        d = torch.softmax(torch.addmm(s["logits.bias"], h[4], s["logits.weight"].T), 1)
        d.scatter_add_(1, y[:, None], d.new_full((len(y), 1), -1.0)).div_(len(y))
        e = torch.mm(d, s["logits.weight"])
        self._move("logits.weight", torch.mm(d.T, h[4]))
        self._move("logits.bias", d.sum(0))
        for i, k in reversed(list(enumerate(("fc1", "fc2", "fc3", "fc4")))):
            e = torch.ops.aten.threshold_backward(e, h[i + 1], 0)
            narrow = torch.mm(e, s[f"{k}.lora_B.weight"]).mul_(2)
            if i:
                sent = torch.mm(
                    torch.mm(e, s[f"{k}.base_layer.feedback.P"].T), s[f"{k}.base_layer.feedback.Q"].T
                )
                sent.addmm_(narrow, s[f"{k}.lora_A.weight"])
            self._move(f"{k}.lora_B.weight", torch.mm(e.T, low[i]))
            self._move(f"{k}.lora_A.weight", torch.mm(narrow.T, h[i]))
            e = sent

    @torch.no_grad()
    def floor(self, x: Tensor) -> None:
        """The products with frozen weights, forward."""
        for k in ("fc1", "fc2", "fc3", "fc4"):
            x = torch.mm(x, self.s[f"{k}.base_layer.weight"].T)

    def _move(self, name: str, gradient: Tensor) -> None:
        momentum = self.s[f"{name}.momentum"]
        self.s[name].sub_(momentum.mul_(MOMENTUM).add_(gradient), alpha=self.lr)

    def state(self) -> dict[str, Any]:
        """Under the names of fac."""
        return {name: tensor.numpy() for name, tensor in self.s.items() if name != "step"}


def batch(network: Network, dtype: str) -> tuple[Any, Any]:
    """Noise with labels: what is in a batch does not change how long a step takes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((network.batch, *network.shape)).astype(dtype)
    return x, rng.integers(0, CLASSES, network.batch)


def check(rule: str, name: str) -> float:
    """Largest relative difference of a parameter after some steps in float64, from autograd or the reference.

    Raises:
        AssertionError: it is too large for rounding.
    """
    network = SMALL[name]
    x, y = batch(network, "float64")
    ours, tensors = session(rule, network, "torch", "float64"), (torch.from_numpy(x), torch.from_numpy(y))
    step = partial(ours.step, x, y, LR)
    if rule == "bp":
        eager = Eager(network, ours.state(), torch.float64, LR)
        return deviation(rule, step, ours, partial(eager.step, *tensors), eager, STEPS, TOLERANCE)
    hand = ByHand(ours.state(), LR)
    reference = session(rule, network, "reference", "float64")
    found = deviation(rule, step, ours, partial(reference.step, x, y, LR), reference, STEPS, TOLERANCE)
    if isinstance(network, Mlp):
        for _ in range(STEPS):
            hand.step(*tensors)
        state = ours.state()
        for key, value in hand.state().items():
            found = max(found, float(np.abs(state[key] - value).max() / (np.abs(value).max() + 1e-30)))
        assert found < TOLERANCE, f"by hand: {found:.1e}"
    return found


def contenders(network: Network) -> dict[str, Callable[[], object]]:
    """A step of each."""
    x, y = batch(network, "float32")
    found: dict[str, Callable[[], object]] = {}
    for rule in ("bp", "routes"):
        one = session(rule, network, "torch", "float32")
        found[rule] = partial(one.step, one.place(x), one.place(y), TIMED_LR)
    mode: str = one.matmul  # type: ignore[attr-defined]
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    state = one.state()
    if isinstance(network, Mlp):
        hand = ByHand(state, TIMED_LR)
        found[HAND] = partial(_under, mode, partial(hand.step, *tensors))
        found[FLOOR] = partial(_under, mode, partial(hand.floor, tensors[0]))
    for name, flags in ((EAGER, mode), (DEFAULT, "highest")):
        found[name] = partial(flagged, Eager(network, state, torch.float32, TIMED_LR), tensors, flags)
    return found


def _under(flags: str, call: Callable[[], object]) -> None:
    with float32_products(flags):
        call()


def rows(times: dict[str, list[float]], target: float) -> list[tuple[object, ...]]:
    """One line per contender: its time, and how many times faster it is than eager and than emitted backpropagation."""
    found: list[tuple[object, ...]] = []
    for name, values in times.items():
        low, high = (1000 * s for s in quartiles(values))
        gains = [ratio(times[base], values) for base in (EAGER, DEFAULT, "bp")]
        met = f"≥ {target}: {'yes' if gains[0] >= target else '**no**'}" if name == "routes" else "–"
        shown = f"{1000 * median(values):.1f}", f"{low:.1f} to {high:.1f}"
        found.append((name, *shown, *(f"{g:.2f}" for g in gains), met))
    return found


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument(
        "--profile", choices=("bp", "routes"), help="time each line of the emitted step instead"
    )
    given = parser.parse_args()
    one_thread()
    if given.profile:
        for name in given.networks:
            network = NETWORKS[name]
            made = fac.compile(spec(given.profile, network), backend="torch")
            print(f"{given.profile}, {name}\n\n{line_times(made, *batch(network, 'float32'))}\n", flush=True)
        return
    errors = [check(rule, name) for rule in ("bp", "routes") for name in given.networks]
    print(f"{STEPS} steps in float64, largest relative difference: {max(errors):.0e}\n")
    results: dict[str, Any] = {"machine": machine(), "rounds": given.rounds, "milliseconds": {}}
    head = ("contender", "ms per step", "middle half", f"vs {EAGER}", f"vs {DEFAULT}", "vs fac bp", "target")
    for name in given.networks:
        times = rounds(contenders(NETWORKS[name]), given.rounds)
        results["milliseconds"][name] = {k: [round(1000 * v, 3) for v in vs] for k, vs in times.items()}
        print(f"{name}\n\n{table(head, rows(times, TARGETS[name]))}\n", flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results["machine"]))


if __name__ == "__main__":
    main()
