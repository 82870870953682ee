"""What `fac check` says of convolutions that cannot read what they are given: the exact words, place and remedy."""

from __future__ import annotations

from typing import Any

import pytest

import fac
from fac.testing.nets import conv2d, linear, spec

GROUPS = "`groups` has to divide both `out` and the channels that are read"
SMALLER = "use a smaller kernel or more padding, or shrink the map less before"
CASES: dict[str, tuple[dict[str, Any], tuple[int, ...], str, str, str]] = {
    "a kernel larger than the map": (
        conv2d("c1", 4, (3, 6)),
        (2, 5, 5),
        "kernel",
        "the kernel of `c1`, 3 x 6, is larger than the map that it reads, 5 x 5",
        SMALLER,
    ),
    "and than its padding": (
        conv2d("c1", 4, 9, padding=(1, 0)),
        (2, 5, 5),
        "kernel",
        "the kernel of `c1`, 9 x 9, is larger than the map that it reads, 5 x 5, 7 x 5 with its padding",
        SMALLER,
    ),
    "a kernel that is spread": (
        conv2d("c1", 4, 3, dilation=(1, 4)),
        (2, 5, 5),
        "kernel",
        "the kernel of `c1`, 3 x 3, spread over 3 x 9, is larger than the map that it reads, 5 x 5",
        SMALLER,
    ),
    "groups and channels that are read": (
        conv2d("c1", 4, 3, groups=2),
        (3, 5, 5),
        "groups",
        "the 2 groups of `c1` do not divide the 3 channels that it reads",
        GROUPS,
    ),
    "groups and channels that are made": (
        conv2d("c1", 4, 3, groups=3),
        (3, 5, 5),
        "groups",
        "the 3 groups of `c1` do not divide its 4 channels",
        GROUPS,
    ),
    "`same` with a stride": (
        conv2d("c1", 4, 3, padding="same", stride=(2, 1)),
        (3, 5, 5),
        "padding",
        "`same` keeps the size of what is read, which a stride of 2 x 1 does not",
        "write the padding as a number",
    ),
    "a vector": (
        conv2d("c1", 4, 3),
        (25,),
        "kind",
        "`c1` reads a map [channels, height, width], not [25]",
        "put a `reshape` layer before it, with `shape: [channels, height, width]`",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_convolution_cannot_read_is_said(case: str) -> None:
    layer, shape, field, message, help = CASES[case]
    data = spec((layer, {"kind": "relu"}, {"kind": "flatten"}, linear("out", 3)), shape=shape)
    (found,) = fac.check(data)
    assert (found.rule.code, found.message, found.help) == ("FAC203", message, help)
    assert found.path == ("layers", 0, field)


def test_a_linear_layer_that_reads_a_map_is_told_to_flatten_it() -> None:
    (found,) = fac.check(spec((conv2d("c1", 4, 3), linear("out", 3)), shape=(2, 5, 5)))
    assert found.message == "`out` is linear and reads one vector per sample, not [4, 3, 3]"
    assert found.help == "put a `flatten` layer before it"
