"""Changes of the bytes of a file: some know nothing of it, some cut into what stands at its head."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from io import BytesIO

from tests.fuzz.choices import Choices

Surgery = Callable[[bytes, Choices], bytes]

SIZES = (
    0,
    1,
    2,
    7,
    8,
    31,
    32,
    33,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63,
    2**64 - 1,
)
ODD: tuple[object, ...] = (
    None, True, -1, 0, 1, 1.5, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"), "", "a\0b", "\ud800",
    "~nosuchuser", "x" * 300, [], [[]], [-1], [2**62, 2**62], [1.0], {}, {"a": {}}, [[[[[[[[]]]]]]]],
)  # fmt: skip
TYPES = (
    "F32",
    "F64",
    "F16",
    "BF16",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "F6_E2M3",
    "BOOL",
    "U8",
    "I64",
    "U64",
    "C64",
    "f32",
    "",
)
DTYPES = (
    "<f4", ">f8", "<f2", "<f16", "|b1", "<i8", "<u2", "|O", "<U3", "|S4", "<c16", "<M8[s]", "<m8", "|V8", "f", "?",
    "=i4", "<f3", "i9", "O8", "", "a", ",", "f4,f4", "(2,)f4", "2f4",
)  # fmt: skip
LITERALS = (
    "(-1,)", "(2.0,)", "(True,)", "(10**9,)", f"({2**63},)", f"({2**31}, {2**31})", "()", "(0,)", "None", "[2]",
    "(2, (3,))", "(1,) * 40", "(" * 90 + ")" * 90, "(" * 900, "x", "__import__('os').system('true')",
    "'" + "a" * 300, "(3L,)",
    "\0", "#", "(" + "1, " * 33 + ")", "1e999", "{}", "...",
)  # fmt: skip


GLOBALS = (
    b"ctorch\nDoubleStorage\n", b"ctorch\nBFloat16Storage\n", b"ctorch\nQInt8Storage\n", b"ctorch\nBoolStorage\n",
    b"ctorch\nComplexFloatStorage\n", b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._utils\n_rebuild_sparse_tensor\n", b"ctorch.storage\nUntypedStorage\n", b"ctorch\nSize\n",
    b"cposix\nsystem\n", b"cbuiltins\neval\n", b"c\n\n",
    b"cbuiltins\nbytearray\n", b"ctorch\nTensor\n", b"cnumpy\nndarray\n", b"X\x04\0\0\0cuda", b"X\x04\0\0\0meta",
)  # fmt: skip
PICKLED = (
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n", b"R", b"t",
    b"Q", b"K\x02K\x03\x86", b"X\x01\0\0\0000", b"X\x01\0\0\0001", b"X\x03\0\0\0cpu", b"X\x07\0\0\0storage",
    b"\x89", b")", b"u",
)  # fmt: skip
"""Of what the pickle of a `state_dict` consists."""
CODE = (
    b"posix\nsystem\n",
    b"os\nsystem\n",
    b"subprocess\ngetoutput\n",
    b"builtins\nexec\n",
    b"torch.hub\nload\n",
)


def any_bytes(raw: bytes, choices: Choices) -> bytes:
    """A few changes: bits, ranges, ends."""
    data = bytearray(raw)
    for _ in range(1 + choices.pick(3)):
        at, more = choices.pick(len(data) + 1), 1 + choices.pick(64)
        match choices.pick(9):
            case 0 | 1 | 2 if data:
                data[at % len(data)] ^= 1 << choices.pick(8)
            case 3:
                del data[at:]
            case 4:
                del data[at : at + more]
            case 5:
                data[at : at + more] = bytes(min(more, len(data) - at))
            case 6:
                data[at:at] = data[at : at + more]
            case 7:
                size = choices.one(SIZES)
                width = choices.one((2, 4, 8))
                data[at : at + width] = (size % (1 << 8 * width)).to_bytes(
                    width, choices.one(("little", "big"))
                )
            case _:
                data[at:at] = bytes([choices.pick(256)]) * more
    return bytes(data)


def state_header(raw: bytes, choices: Choices) -> bytes:
    """Of a safetensors file: what its JSON says of an array, or of the whole, is another thing."""
    length = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    about, names = header["__metadata__"], [name for name in header if name != "__metadata__"]
    entry = header[choices.one(names)]
    match choices.pick(9):
        case 0:
            entry["dtype"] = choices.one(TYPES)
        case 1:
            entry[choices.one(("dtype", "shape", "data_offsets"))] = choices.one(ODD)
        case 2:
            entry["shape"] = [choices.one(SIZES) for _ in range(choices.pick(4))]
        case 3:
            entry["data_offsets"] = [choices.one((*SIZES, len(data))), choices.one((*SIZES, len(data)))]
        case 4:
            about[choices.one(list(about))] = choices.one(ODD)
        case 5 | 6:
            key = choices.one(list(about))
            about[key] = json.dumps(_with_odd(_json(about[key]), choices))
        case 7:
            header[choices.one((*names, "__metadata__"))] = choices.one(ODD)
        case _:
            header[choices.one(("step", "x" * 300, "", "a\0b", "\ud800"))] = header.pop(choices.one(names))
    text = json.dumps(header).encode()
    if choices.rarely(20):
        text = b'{"a":' * 20_000 + text
    return len(text).to_bytes(8, "little") + text + data


def array_header(raw: bytes, choices: Choices) -> bytes:
    """Of an npz file: what an array says of itself is another thing, and the check sums are right."""
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = choices.one(list(parts))
    part = parts[name]
    end = 10 + int.from_bytes(part[8:10], "little")
    text, data, version = part[10:end].decode(), part[end:], part[6:8]
    start, order, shape, stop = "{'descr': ", ", 'fortran_order': ", ", 'shape': ", ", }"
    said = [text[len(start) : text.index(order)], text[text.index(order) + len(order) : text.index(shape)],
            text[text.index(shape) + len(shape) : text.index(stop)]]  # fmt: skip
    match choices.pick(6):
        case 0 | 1:
            said[0] = repr(choices.one(DTYPES))
        case 2:
            said[choices.pick(3)] = choices.one(LITERALS)
        case 3:
            said[2] = str(tuple(choices.one(SIZES) for _ in range(choices.pick(4))))
        case 4:
            version = choices.one((b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\xff\xff"))
        case _:
            data = any_bytes(data, choices)
    header = f"{start}{said[0]}{order}{said[1]}{shape}{said[2]}{stop}\n".encode()
    width = 2 if version == b"\1\0" else 4
    size = choices.one(SIZES) % (1 << 8 * width) if choices.rarely(8) else len(header)
    parts[name] = part[:6] + version + size.to_bytes(width, "little") + header + data
    made = BytesIO()
    with zipfile.ZipFile(
        made, "w", choices.one((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    ) as archive:
        for key, content in parts.items():
            archive.writestr(key, content)
    return made.getvalue()


def pickled(raw: bytes, choices: Choices) -> bytes:
    """Of a file of `torch.save`: its pickle names other things, sizes and code, and the check sums are right."""
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in parts if name.endswith(".pkl"))
    text = parts[name]
    match choices.pick(6):
        case 0:
            text = any_bytes(text, choices)
        case 1 | 2:
            found = [word for word in PICKLED if word in text]
            text = text.replace(choices.one(found), choices.one((*PICKLED, *GLOBALS)), 1 + choices.pick(2))
        case 3:
            # sizes, offsets and strides are whole numbers of one byte, `K.`
            places = [at for at in range(len(text) - 1) if text[at : at + 1] == b"K"]
            at, size = choices.one(places), choices.one(SIZES)
            width = size.bit_length() // 8 + 1
            text = text[:at] + b"\x8a" + bytes([width]) + size.to_bytes(width, "little") + text[at + 2 :]
        case 4:
            code = b"c" + choices.one(CODE) + b"(X\x09\0\0\0touch rantR"
            text = choices.one((b"\x80\x02" + code + b".", b"\x80\x02" + code + b"0" + text[2:]))
        case _:
            other = choices.one([*parts])
            parts[other] = any_bytes(parts[other], choices) if choices.pick(2) else b""
    if parts[name]:
        parts[name] = text
    made = BytesIO()
    with zipfile.ZipFile(
        made, "w", zipfile.ZIP_DEFLATED if choices.rarely(9) else zipfile.ZIP_STORED
    ) as archive:
        for key, content in parts.items():
            if not choices.rarely(60):
                archive.writestr(key, content)
    return made.getvalue()


def json_lines(raw: bytes, choices: Choices) -> bytes:
    """Of lines of JSON: a value, or a key, is another thing."""
    lines = [json.loads(line) for line in raw.splitlines()]
    at = choices.pick(len(lines))
    lines[at] = _with_odd(lines[at], choices)
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def words(odd: tuple[str, ...]) -> Surgery:
    """Of a text: words are taken out, doubled, moved, or others in their place."""

    def changed(raw: bytes, choices: Choices) -> bytes:
        found = raw.decode().split(" ")
        for _ in range(1 + choices.pick(3)):
            at = choices.pick(len(found))
            match choices.pick(4):
                case 0 if len(found) > 1:
                    del found[at]
                case 1:
                    found.insert(at, found[choices.pick(len(found))])
                case _:
                    found[at] = choices.one(odd)
        return " ".join(found).encode("utf-8", "surrogatepass")

    return changed


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _with_odd(value: object, choices: Choices) -> object:
    """The data with an odd value somewhere in them."""
    if isinstance(value, dict) and value and not choices.rarely(6):
        key = choices.one(list(value))
        if choices.rarely(6):
            return {**value, choices.one(("", "a\0b", "x" * 300, "epoch")): value[key]}
        if choices.rarely(8):
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _with_odd(value[key], choices)}
    if isinstance(value, list) and value and not choices.rarely(4):
        at = choices.pick(len(value))
        return [*value[:at], _with_odd(value[at], choices), *value[at + 1 :]]
    return choices.one(ODD)
