"""What emitted torch code calls beside torch itself: tiles, a few backward kernels, buffers.

This file and the six that it gives out import torch and nothing else, and travel with every written artifact.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F

# Emitted code calls all kernels by this module's name.
from fac_torch.activation_kernels import *  # noqa: F403
from fac_torch.attention_kernels import *  # noqa: F403
from fac_torch.map_kernels import *  # noqa: F403
from fac_torch.map_kernels import Tensor, room, shaped
from fac_torch.measure_kernels import *  # noqa: F403
from fac_torch.measure_kernels import dot
from fac_torch.norm_kernels import *  # noqa: F403
from fac_torch.update_kernels import *  # noqa: F403

FILES = (
    *("kernels.py", "activation_kernels.py", "map_kernels.py", "norm_kernels.py", "attention_kernels.py"),
    *("update_kernels.py", "measure_kernels.py"),
)
"""This file and those."""
TILE_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}
"""How much of a weight gradient exists at a time. On a CPU the piece stays in cache until the update reads it."""


# -- what belongs together ---------------------------------------------------------------------------------------


def require(written: str) -> None:
    """Refuse to compute a step that was written for other kernels: its numbers might be others, without a sign of it.

    Args:
        written: the digest of those that it was written with.

    Raises:
        ImportError: these are others.
    """
    here = Path(__file__)
    try:
        found = digest(here.with_name(name).read_bytes() for name in FILES)
    except (FileNotFoundError, NotADirectoryError):
        return  # packed, or compiled by Python: there they are as they came
    if found != written:
        raise ImportError(
            f"the kernels in `{here.parent}` are not those that this step was written with: compile the folder anew, "
            "`fac compile SPEC -o DIR`; or take out the line that asks for them, if you have changed them yourself"
        )


def digest(files: Iterable[bytes]) -> str:
    """Of the contents of files of text, however their lines end: 16 hexadecimal digits of SHA-256."""
    found = hashlib.sha256()
    for content in files:
        found.update(content.replace(b"\r\n", b"\n"))
    return found.hexdigest()[:16]


# -- memory ------------------------------------------------------------------------------------------------------


def load_state(path: str, device: str = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file: an 8-byte length, that many bytes of JSON, then the data.

    Raises:
        OSError: the file cannot be read.
        RuntimeError: its folder is half replaced by another compilation.
        ValueError: it is another file, or a part of one, holds other types of numbers, or is not as it was written.
    """
    if any(Path(path).parent.glob(".fac-*.ready")):
        raise RuntimeError(
            f"`{path}` lies in a folder that a `fac compile` has half replaced: make that call again"
        )
    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    state: dict[str, Tensor] = {}
    with open(path, "rb") as file:
        head, data = file.read(8), bytearray(file.read())
    length = int.from_bytes(head, "little")
    try:
        text = bytes(data[:length])
        header = json.loads(text)
        about = header.get("__metadata__", {})
        digest = about.get("digest", "")
        found = hashlib.sha256(head + (text.replace(digest.encode(), b"0" * 64) if digest else text))
        del data[:length]
        found.update(data)
        whole = found.hexdigest() == digest or not (digest or about.get("fac_checkpoint") == "2")
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                count = (end - start) // types[entry["dtype"]].itemsize
                flat = torch.frombuffer(data, dtype=types[entry["dtype"]], count=count, offset=start)
                state[name] = flat.reshape(entry["shape"]).to(device, copy=True)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"`{path}` is no safetensors file of {', '.join(types)}, or a part of one"
        ) from error
    if not whole:
        raise ValueError(
            f"`{path}` is damaged, by its SHA-256: compile the folder anew, or bring back a copy"
        )
    return state


NARROW = "bfloat16"
Row = tuple[int, tuple[int | str, ...]] | tuple[int, tuple[int | str, ...], str | int]


def buffers(table: Mapping[str, Row], n: int, like: Tensor) -> SimpleNamespace:
    """The workspace of a step for batches of `n` samples.

    Args:
        table: name -> (slot, shape), or (slot, shape, "last") for a map with its channels last; "N" in a shape stands
            for `n`, "3N" for three times that. Names that share a slot are never alive together, and share its memory,
            but for (slot, shape, k): the piece of it that is behind k pieces of this shape.
        n: samples per batch.
        like: gives the element type and the device; (slot, shape, "bfloat16") is of that type, see `narrow_type`.
    """
    types = {
        name: narrow_type(NARROW, like) if more == [NARROW] else like.dtype
        for name, (_, _, *more) in table.items()
    }
    shapes = {name: tuple(_dim(d, n) for d in shape) for name, (_, shape, *_) in table.items()}
    sizes: dict[int, int] = {}
    for name, (slot, *_) in table.items():
        room = -(-_numel(shapes[name]) * types[name].itemsize // like.dtype.itemsize)
        sizes[slot] = max(sizes.get(slot, 0), room)
    slots = {slot: torch.empty(size, dtype=like.dtype, device=like.device) for slot, size in sizes.items()}
    places: dict[str, Tensor] = {}
    for name, (slot, _, *more) in table.items():
        size = _numel(shapes[name])
        start = size * more[0] if more and isinstance(more[0], int) else 0
        slot_of_type = slots[slot].view(types[name])
        places[name] = shaped(slot_of_type[start : start + size], shapes[name], more == ["last"])
    return SimpleNamespace(**places, samples=n)


def copied(x: Tensor, out: Tensor | None = None) -> Tensor:
    """The same numbers in other memory."""
    return room(x, out).copy_(x)


def round_to(x: Tensor, to: str, out: Tensor | None = None) -> Tensor:
    """Each number as the nearest of a narrower type, in the type of x, or of `out`."""
    if out is not None and out.dtype == getattr(torch, to):
        return out.copy_(x)
    return room(x, out).copy_(x.to(getattr(torch, to)))


def narrow_type(to: str, like: Tensor) -> torch.dtype:
    """The type of tensors that hold numbers rounded to another one: that one, where it makes products faster.

    Elsewhere, and beside float64, it is the type of `like`. A GPU has them, and of CPUs those that say so: no clock
    decides, because sums are ordered otherwise, and a run must resume to the bit.
    """
    if like.dtype != torch.float32:
        return like.dtype
    fast = HAS_BFLOAT16() if like.device.type == "cpu" else True
    return getattr(torch, to) if fast else like.dtype


HAS_BFLOAT16: Callable[[], bool] = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
"""Of a CPU. The name is private: a torch without it rounds in float32."""


def widen(x: Tensor, out: Tensor | None = None) -> Tensor:
    """The same numbers in the type of the session."""
    return room(x, out).copy_(x)


def narrow_mm(a: Tensor, b: Tensor, to: str, out: Tensor) -> Tensor:
    """A b of rounded numbers, rounded; sums are of float32 at least, also where a, b and out are of the narrow type."""
    return _rounded(torch.mm(a, b, out=out), to)


def narrow_addmm(bias: Tensor, a: Tensor, b: Tensor, to: str, out: Tensor) -> Tensor:
    """Bias + a b of rounded numbers, rounded once."""
    return _rounded(torch.addmm(bias, a, b, out=out), to)


def _rounded(x: Tensor, to: str) -> Tensor:
    return x if x.dtype == getattr(torch, to) else round_to(x, to, out=x)


def check_batch(B: SimpleNamespace, x: Tensor) -> None:
    """Refuse a batch that the workspace is not for, before anything moves.

    Raises:
        ValueError: x holds another number of samples.
    """
    if len(x) != B.samples:
        raise ValueError(
            f"the workspace is for {B.samples} samples, not {len(x)}: call workspace(S, {len(x)})"
        )


def tile(state: Mapping[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Room for one tile of the largest of the named weights' gradients: at least a row of each."""
    like = state[names[0]]
    most = TILE_BYTES.get(like.device.type, 2 << 20) // like.element_size()
    wanted = max(max(state[name].shape[1], min(state[name].numel(), most)) for name in names)
    return torch.empty(wanted, dtype=like.dtype, device=like.device)


def _dim(dim: int | str, n: int) -> int:
    return dim if isinstance(dim, int) else n * int(dim[:-1] or 1)


def _numel(shape: tuple[int, ...]) -> int:
    product = 1
    for dim in shape:
        product *= dim
    return product


# -- losses, norms, noise ----------------------------------------------------------------------------------------


def log_softmax(z: Tensor, out: Tensor | None = None) -> Tensor:
    """Along the last axis."""
    if out is not None and not (z.is_contiguous() and out.is_contiguous()):  # the kernel goes by no strides
        return out.copy_(F.log_softmax(z, -1))
    result: Tensor = torch.ops.aten._log_softmax.out(z.contiguous(), -1, False, out=room(z, out))
    return result


def table(values: tuple[float, ...], like: Tensor) -> Tensor:
    """The numbers as a tensor where `like` is. A GPU fills in each: it would have to wait for a copy from the host."""
    if like.device.type == "cpu":
        return torch.tensor(values, dtype=like.dtype)
    return torch.stack([like.new_full((), value) for value in values])


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """The mean of -log softmax(z)[y]. No label is ignored, as torch does with -100."""
    return F.cross_entropy(z, y, ignore_index=-(2**62))


def cross_entropy_input(scale: float | Tensor, z: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """scale * (softmax(z) - onehot(y)) / N."""
    out = torch.softmax(z, 1, out=room(z, out))
    out.scatter_add_(1, y[:, None], out.new_full((len(y), 1), -1.0)).div_(len(y))
    return out if isinstance(scale, float) and scale == 1.0 else out.mul_(scale)


HOSTED: dict[str, Callable[[Any, int], Any]] = {}
"""What `host` calls, by name: functions of rows, an array of NumPy's [n, reads], and a width, that make [n, width]."""


def host(x: Tensor, call: str, width: int) -> Tensor:
    """What a function on the host makes of rows. It waits for them.

    Raises:
        RuntimeError: nobody has said what is called so.
    """
    if call not in HOSTED:
        raise RuntimeError(
            f"this step hands rows to `{call}`, which is no part of its files: set `kernels.HOSTED[{call!r}]` to a "
            "function (rows, width) that makes an array [n, width]"
        )
    made = torch.from_numpy(HOSTED[call](x.detach().cpu().numpy(), width))
    return made.to(device=x.device, dtype=x.dtype)


def max_abs(x: Tensor, dim: tuple[int, ...], keepdim: bool = False, out: Tensor | None = None) -> Tensor:
    """The largest magnitude: as the norm of order infinity, which takes a CPU twelve times longer."""
    return torch.amax(x.abs(), dim, keepdim, out=out)


def norm(*xs: Tensor, nonzero: bool = False) -> Tensor:
    """The Euclidean norm of all numbers of all tensors, whatever their squares do; 1 instead of 0 if `nonzero`."""
    plain = _norm(xs)
    # Where asking costs nothing: squares that neither overflowed nor, if they count, were lost need no second look.
    if _is_known(plain) and LEAST_NORM[plain.dtype] <= plain.item() < math.inf:
        return plain
    largest = torch.stack([x.abs().amax() for x in xs]).amax()
    # a power of two, so that this way and the one above lead to the same digits
    unit = torch.where(largest == 0, 1.0, largest / (2 * torch.frexp(largest).mantissa))
    found = _norm([x / unit for x in xs]) * unit
    return torch.where(found == 0, 1.0, found) if nonzero else found


def _is_known(number: Tensor) -> bool:
    """Whether the host need not wait to read it, nor a graph that is made for all numbers end there."""
    return number.device.type == "cpu" and not torch.compiler.is_compiling()


def _norm(xs: Sequence[Tensor]) -> Tensor:
    norms: list[Tensor] = [torch.linalg.vector_norm(x) for x in xs]
    return norms[0] if len(norms) == 1 else _norm([torch.stack(norms)])


LEAST_NORM = {t: torch.finfo(t).tiny ** 0.5 / torch.finfo(t).eps for t in (torch.float32, torch.float64)}
"""From here on what vanishes when it is squared is nothing beside the rest."""


Integer = TypeVar("Integer", int, Tensor)
MASK = 0xFFFFFFFF


def uniform_bits(
    shape: tuple[int, ...], step: int | Tensor, first: int, second: int, device: torch.device
) -> Tensor:
    """Integers in [0, 2^24), a hash of (key, step, index): the same on every backend.

    The key is `first` and `second`, of 32 bits each, made of the seed and the stream; indices count modulo 2^32.
    """
    number: Any = step
    u = _mix((number & MASK) ^ first)
    v = _mix(((u + (number >> 32)) & MASK) ^ second)
    if isinstance(u, int):
        x = torch.arange(u, u + math.prod(shape), device=device).view(shape)
    else:
        x = torch.arange(math.prod(shape), device=device).view(shape).add_(u)
    x &= MASK
    x = _mix(x)
    x += v
    x &= MASK
    x = _mix(x)
    x >>= 8
    return x


def _mix(x: Integer) -> Integer:
    """A bijection of 32-bit numbers, for a Python int or, in place, a tensor; no product leaves 63 bits."""
    x ^= x >> 16
    x *= 0x21F0AAAD
    x &= MASK
    x ^= x >> 15
    x *= 0x735A2D97
    x &= MASK
    x ^= x >> 15
    return x


def svd_pair(w: Tensor, p: Tensor, q: Tensor) -> None:
    """Set P [r, m] and Q [k, r] so that Q P is the best rank-r approximation of W^T, W as [m, k]; balanced."""
    u, s, vt = torch.linalg.svd(w.double().reshape(p.shape[1], -1).T, full_matrices=False)
    signs = torch.take_along_dim(u, u.abs().argmax(0, keepdim=True), 0).sign()[0]
    root = s[: len(p)].sqrt() * signs[: len(p)]
    p.copy_(root[:, None] * vt[: len(p)])
    q.copy_(u[:, : len(p)] * root)


def newton_schulz_rows(
    left: Tensor, right: Tensor, steps: int, coefficients: tuple[float, float, float], least: float,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """S [rows, k], so that left^T S is `steps` Newton-Schulz steps on left^T right, by products [rows, rows].

    In float64, and nothing of it asks the host: see `fac/step/ops/orthogonal.py`.
    """
    a, b, c = coefficients

    def polynomial(d: Tensor) -> Tensor:
        f = torch.addmm(d, d, d, beta=b, alpha=c)
        f.diagonal().add_(a)
        return f

    (rows, size), (others, _) = (_doubled(x) for x in (left, right))
    k, h = rows @ rows.T, others @ others.T
    square = dot(k, h)
    nothing = square <= least * (k.diagonal() * h.diagonal()).sqrt().sum().square()
    square = torch.where(nothing, 1.0, square)
    d = torch.mm(h, k).div_(square)
    z = f = polynomial(d)
    for _ in range(steps - 1):
        d = f @ (f @ d)
        f = polynomial(d)
        z = f @ z
    z = z * torch.where(nothing, 0.0, 1 / (square.sqrt() * size))
    return room(right, out).copy_(z @ others)


def _doubled(x: Tensor) -> tuple[Tensor, Tensor | float]:
    """X in float64 over a size, the squares of which are numbers there: as those of all float32 are."""
    if x.dtype != torch.float64:
        return x.double(), 1.0
    size = norm(x, nonzero=True)
    return x / size, size
