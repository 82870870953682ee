"""docs/passes.md is made of the registers of passes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fac.build.disabling import own
from fac.passes import PASSES
from fac.pipeline import backends
from fac.step.transform import Pass
from tests.passes.golden import matches

PAGE = Path(__file__).parents[2] / "docs" / "passes.md"
HEAD = """\
# Passes

What is changed in a step between what a spec says and what runs, each by its name. Generated from `fac/passes/` and
from the `passes.py` of each backend: `tests/passes/test_page.py` rewrites this page with `FAC_UPDATE_GOLDEN=1`.

```
fac show SPEC --after share_common                     # the step after it, in step IR; `build` is before any
fac show SPEC --after addmm --backend torch            # ... as torch code, without the passes behind it
fac compile SPEC -o DIR --disable-pass addmm           # leave it out; repeatable, also of train, show, compare, sweep
```

In Python that is `fac.compile(SPEC, disable=["addmm"])` and `fac.train(..., disable=[...])`. Numbers look wrong,
and you suspect the compiler? Leave passes out until they do not, and report the last one.

A run keeps the names of its passes. `fac train --resume` compiles it by the same ones, also where a later version
of fac has more, so that it goes on bit for bit; another choice, `--resume DIR --disable-pass NAME`, or `--all-passes`
to leave out none (`disable=[]` in Python), is said, and kept from then on. `fac evaluate` and `fac predict` go by
those of the run. The `manifest.json` of a compiled folder lists them. A comparison or a sweep that is made without
passes says so; they are a part of its plan, so that another choice wants another folder. `fac study` has all of them:
what a paper says is held against one compiler.

`bits`: each op that is left computes what it computed before, to the last bit, but for the sign of a zero. `rounding`:
equal in exact arithmetic; sums may be ordered otherwise, or be rounded once where it was twice. What a backend makes
of fewer or other ops may round otherwise in either case. The order of statements, where tensors live, and what a
backend has to have made of finer ops are no passes: some choice there must be. `tests/passes/test_every_pass.py`
compiles networks of several kinds without each pass, and without any, and compares the numbers.

Rounding to bfloat16 (`train: {mixed_precision: bfloat16}`) is no pass either: it changes numbers, and the spec asks for
it. `fac show SPEC --after mixed_precision` prints the step with it; after a pass of all backends it has not come yet.
"""


def table(passes: Iterable[Pass[Any]]) -> str:
    rows = "".join(f"| `{step.name}` | {step.keeps} | {step.summary} |\n" for step in passes)
    return f"| pass | keeps | afterwards |\n|---|---|---|\n{rows}"


def page() -> str:
    parts = [f"{HEAD}\n## All backends\n\n{table(PASSES)}"]
    for backend in sorted(backends(), key=lambda one: one.name != "torch"):
        if passes := own(backend):
            parts.append(f"## {backend.name}\n\nBehind those of all backends.\n\n{table(passes)}")
    return "\n".join(parts)


def test_the_page_of_passes() -> None:
    matches(PAGE, page())
