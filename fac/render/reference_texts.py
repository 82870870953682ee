"""What the reference page of the spec says that no model does, such as what a site is, and a whole spec."""

from __future__ import annotations

from collections.abc import Mapping

from fac.spec.init import SCALED

INTRODUCTION = """\
# The spec

Made by `fac schema --markdown` from the models that read a spec. A whole spec, of which `fac init` writes another:

```yaml
{example}```

It is a mapping of the keys under [the whole spec](#the-whole-spec), in any order; JSON does as well as YAML. In the
tables * marks keys that must be given. What comes in several kinds is a mapping in which one key says which: layers,
losses, feedback operators, schedules, initial laws and probes have a `kind`, feedback rules, update rules and the ways
in which feedback learns a `rule`, data a `source`. Headings show it: `loss: {{kind: cross_entropy}}`. The keys of the
table below a heading stand beside it: `update: {{rule: sgd, lr: 0.1}}`.

Values mean what YAML 1.2 says. A number has to be the same number to all readers of YAML:

| written | is |
|---|---|
| `10`, `+1`, `-0`, `0x1f`, `0.5`, `.5`, `1.`, `01.5` | a number |
| `1e3`, `1e-3` | a number, as in JSON; to YAML 1.1 it is text without a point |
| `010`, `007`, `0o10`, `0b10`, `-0x1f`, `1_000`, `1_0.5` | refused: octal, binary, or text to some |
| `.inf`, `-.inf`, `.nan`, `1e999`, whole numbers from 2⁶³ on, `2026-01-01` | refused: no value of a spec is one |
| `true`, `True`, `TRUE`, `false`, …; `null`, `Null`, `NULL`, `~`, nothing | what they say |
| `yes`, `No`, `on`, `off`, `y`, `12:30`, `1:30` | text: refused where a boolean or a number must stand |
| anything in quotes | text |
"""
EXAMPLE = """\
fac: 1                          # version of the format
name: digits
input: {shape: [64]}            # one sample; the batch is not part of any shape
layers:                         # each reads the one above, unless `from:` names others; the last is the output
  - {kind: linear, name: fc1, out: 32}
  - {kind: relu}
  - {kind: linear, name: fc2, out: 32}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback:                       # which error reaches which layer; or a rule, such as {rule: ldfa, rank: 9}
  routes:
    - {through: logits, matrix: {kind: low_rank, rank: 9, read: {rule: oja}, write: {rule: kolen_pollack}}}
    - {to: fc1, from: loss, matrix: {kind: random}}
update: {rule: sgd, lr: 0.03, momentum: 0.9, schedule: cosine}
data: {source: digits}
train: {epochs: 20, batch: 32, seed: 0}
"""
WRITTEN: Mapping[str, str] = {
    "`input:`": "input: {shape: [784]}",
    "`feedback:` written out": (
        "feedback: {subspaces: [{name: task, rank: 8}], routes: [{to: fc1, from: task, matrix: {kind: random}}]}"
    ),
    "A subspace": "feedback: {subspaces: [{name: task, of: loss, rank: 8, basis: {rule: oja}}]}",
    "A `through` route": "feedback: {routes: [{through: fc2, matrix: {kind: low_rank, rank: 8}}]}",
    "A `to` route": "feedback: {routes: [{to: fc1, from: loss, matrix: {kind: random}}]}",
    "A rank that is measured": "feedback: {rule: ldfa, rank: {share: 0.95, cost: 0.5}}",
    "Shared by all update rules": "update: {rule: sgd, lr: 0.1, schedule: cosine}",
    "`clip:`": "update: {rule: sgd, lr: 0.1, clip: {by: norm, at: 1.0}}",
    "`feedback:` inside `update:`": "update: {rule: sgd, lr: 0.1, feedback: {lr_scale: 0.5}}",
    "An item of `groups:`": 'update: {rule: sgd, lr: 0.1, groups: [{match: "*.bias", lr_scale: 2.0}]}',
    "`train:`": "train: {epochs: 5, batch: 128, seed: 0}",
    "`constraints:`": "constraints: {no_weight_transport: true, max_rank: 16}",
    "A bound": "constraints: {backward_macs_vs_backprop: {at_most: 0.7}}",
    "A bound on memory": "constraints: {peak_memory: {at_most: 256 MiB}}",
}
"""How a spec writes what headings do not show."""

INITIAL_LAWS = (
    *((name, law.formula) for name, law in SCALED.items()),
    ("orthogonal", "orthonormal rows, or orthonormal columns if there are more rows than columns"),
    ("zeros", "0"),
)
INITIAL = """\
Under `init:`, `init_P:`, `init_Q:`

A name, or a mapping with a `kind`. Of a linear layer fan_in is the number of its inputs and fan_out that of its units;
of a convolution both are channels of one group times the places of the kernel; `conv_transpose2d` divides fan_in by its
stride along both axes. A feedback matrix B has those of the weight that it stands for; on a `to` route fan_in is the
number of values that it writes and fan_out that of those that it reads. Of P they are the values read and the rank, of
Q the rank and the values written.
"""
SITE = """\
A direct route feeds a layer at its *site*: the output of the last layer that is reached from it while each has a
single reader, which has no weights and no other input but masks. In `linear, relu, dropout, linear` the site of the
first layer is after the dropout, so the derivatives of dropout and relu still apply. The site lies before a join
(`add`): what is fed to a layer does not enter a skip connection. `at:` names another place. No error goes to a mask,
so one of ones changes nothing. Where one layer `qkv` makes queries, keys and values, its site is behind `attend`, and
the derivative of attention still applies; with `fused: false` `attend` joins three layers, each of which is fed at
its own output. After a convolution it is the same: in `conv2d, batch_norm, relu, max_pool2d, conv2d` it lies after
the pool. All numbers of a map are fed, each by a row of its own. The layers on the way learn from the same error, so
the direct rules write one route for a layer and its norm.

The *error* of a layer is what the backward pass, with its routes, brings to the output of that layer: without routes
the derivative of the loss by that output.
"""
SEVERAL = """\
`feedback:` is one section or a list of sections that apply together:

```yaml
feedback:
  - {rule: fa, nodes: [fc2, fc3]}
  - {rule: ldfa, rank: 4, nodes: logits}
```

A section is a [feedback rule](#feedback-rules) or [routes written out](#feedback-written-out). Two sections that decide
over the same error are a finding (FAC306). Without any section all errors are exact.
"""
LDFA_LEARN = (
    ("fixed", "fixed", "fixed", "random"),
    ("kolen_pollack", "fixed", "kolen_pollack", "random"),
    ("oja_kp", "oja", "kolen_pollack", "random"),
    ("local", "local", "kolen_pollack", "svd"),
    ("normative", "normative", "normative", "svd"),
)
"""`learn:` of `ldfa`, and `read`, `write` and `init` of the `low_rank` operators that it stands for."""
LDFA = f"""\
What `learn` stands for in the [`low_rank`](#matrix-kind-low_rank) operator of each route:

| `learn` | `read` (P) | `write` (Q) | `init` |
|---|---|---|---|
{"".join("".join(f"| `{cell}` " for cell in row) + "|" + chr(10) for row in LDFA_LEARN)}
The rules are those of [how feedback learns](#how-feedback-learns). `normative` and `svd` read the forward weight.
"""
LEARNING = """\
d [N, reads] is the error that the operator reads, x [N, writes] the forward value at which its
output arrives, s = d P^T. `oja` moves P by itself, without the learning rate. The others make a gradient, which the
update rule turns into a step as it does for weights; `feedback:` inside `update:` changes that. All read the values
from before the step.
"""
NOTES: Mapping[str, str] = {
    "ldfa": LDFA,
    "direct_ldfa": (
        "`learn` as in [`ldfa`](#feedback-rule-ldfa), but P and Q start at `random`: there is no forward weight.\n"
    ),
    "How feedback learns": LEARNING,
    "Schedules": (
        "Where no key has to be given the name alone will do: `schedule: cosine`. A schedule is a factor on the "
        "learning\nrate of all arrays. During a warm-up of w steps, step s, counted from 0, has (s + 1) / w of it.\n"
    ),
}
"""What follows the table of a section or kind, or the heading of a family."""
