"""What a name in a spec means, wherever one stands.

* In a layer, `from`, `tie`, `steps` and what it reads beside (`fac.spec.layers.Named`): what stands above it, by one
  of the `full_names` of the word in its scope, the innermost first. `input` is what the block around reads. `tie` wants
  parameters, which blocks and inputs have not.
* In `of` of a loss or a subspace, in `from` and `at` of a route: a full name; that of a block is its output
  (`Program.meant`). A `from` may also be `loss` or a subspace, the `of` of a subspace `loss`. The `mask` of a loss is
  an input.
* In `through` and `to` of a route and `nodes` of a short-hand: a full name, or a glob of full names
  (`fac.program.globs`), of layers with weights or with parameters; in `match` of a group of arrays. A block is none of
  these, and `block.*` means what is inside.

A full name has the names of the blocks around in front, and the number of a copy or a branch: `block.0.fc1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def full_names(word: str, scope: str, around: Mapping[str, str]) -> Iterator[str]:
    """What a word could mean in a scope, and in those around it; the first that stands already is meant.

    Args:
        word: as a layer writes it.
        scope: a block, or a part of one; empty for the network. Names may hold dots, so that it does not tell by itself
            what is around it.
        around: for each scope the one around it (`Program.scopes`).
    """
    while scope:
        yield f"{scope}.{word}"
        scope = around[scope]
    yield word


def short_name(name: str, scope: str, around: Mapping[str, str]) -> str:
    """What a layer is called in a scope: its full name less that of the innermost scope that both stand in."""
    while scope and not name.startswith(f"{scope}."):
        scope = around[scope]
    return name[len(scope) + 1 :] if scope else name
