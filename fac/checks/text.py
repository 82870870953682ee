"""Help pages of FAC1xx: texts that are no specs. Findings of reading, not of a check."""

from __future__ import annotations

TEXT = {
    "FAC101": """\
The file is not YAML, and not JSON, which is YAML too.

The parser stops at the first such place, so that only one finding is reported: what stands behind it could mean
anything. Frequent causes: a tab in the indentation or behind a `:`, a bracket or a quote that is not closed, a value
that holds `: ` and is not quoted.

Bad:

    input: {shape: [20]

Good:

    input: {shape: [20]}""",
    "FAC102": """\
A value has the wrong type, or lies outside the allowed range.

Nothing is converted: text in quotes is not a number, and `no` is text. Write `true` or `false` for booleans. A spec
is read as YAML 1.2, in which `1e-3` is a number. Programs that read it as YAML 1.1 take `no` for false and `1e-3` for
text: where one of them has to read the spec, too, write `0.001` or `1.0e-3`.

What comes in several kinds is a mapping, even where the kind has no settings, so that one can be added to it.

Bad:

    layers:
      - {kind: linear, name: logits, out: "10", bias: no}

Bad:

    loss: cross_entropy

Good:

    layers:
      - {kind: linear, name: logits, out: 10, bias: false}

Good:

    loss: {kind: cross_entropy}""",
    "FAC103": """\
A key is not a field of the section that it stands in.

A key that nobody reads would be ignored in silence, so that a misspelt setting keeps its default: the worst kind of
mistake, because the training runs and measures something else than the file says.

Bad:

    update: {rule: sgd, lr: 0.1, momentun: 0.9}

Good:

    update: {rule: sgd, lr: 0.1, momentum: 0.9}""",
    "FAC104": """\
A field without a default is missing.

What decides about the meaning of a spec has no default: the number of units, the learning rate, the rank. A default
would be a decision that no reader of the file can see.

Bad:

    layers:
      - {kind: linear, name: logits}

Good:

    layers:
      - {kind: linear, name: logits, out: 10}""",
    "FAC105": """\
No installed layer, loss, matrix, rule, update or data source has this name.

The kinds that plug-ins add count, so a spec that uses one needs the plug-in wherever it is checked. `fac schema` lists
all that are installed here. The allow-lists under `constraints:` take the names of rules, matrices and learning rules,
and a name on them that means nothing would allow nothing.

Bad:

    layers:
      - {kind: linear, name: fc1, out: 32}
      - {kind: rleu}
      - {kind: linear, name: logits, out: 10}

Good:

    layers:
      - {kind: linear, name: fc1, out: 32}
      - {kind: relu}
      - {kind: linear, name: logits, out: 10}""",
    "FAC106": """\
A mapping holds one key twice.

YAML parsers often keep the last one in silence, others the first. Here neither wins.

Bad:

    train: {epochs: 5, batch: 32, epochs: 10}

Good:

    train: {epochs: 10, batch: 32}""",
    "FAC107": """\
The file holds nothing, or comments only.

Mostly a path or a redirection went wrong. `fac init` writes a spec to start from.

Bad, as the whole file:

    # fac: 1

Good, as the whole file:

    fac: 1
    name: example
    input: {shape: [20]}
    layers:
      - {kind: linear, name: logits, out: 10}
    loss: {kind: cross_entropy}
    update: {rule: sgd, lr: 0.1}""",
    "FAC108": """\
The text is YAML, but uses something that no spec needs.

A spec is a mapping of text keys to text, finite numbers, booleans, lists and mappings. Tags, dates, binary data,
merge keys, numbers such as `010`, `0o10` and `1_000`, and data that holds itself are refused, and so are texts of
extreme depth or size: they read differently in different parsers, cannot be said in JSON, or can make a reader run
out of memory.

Bad:

    update: {rule: sgd, lr: .inf}

Good:

    update: {rule: sgd, lr: 0.1}""",
    "FAC109": """\
A comment asks for a finding to be ignored that does not exist.

`# fac: ignore[FAC301] reason` leaves out the findings of that rule on its own line, or on the next line if the
comment stands alone; `# fac: ignore-file[FAC301] reason`, above the first value, those of the whole file. Once the
cause is mended the comment would hide the next mistake of its kind.

Bad, where no layer is missing:

    name: example  # fac: ignore[FAC104] the next version has layers

Good:

    name: example""",
    "FAC110": """\
A comment that begins with `# fac: ignore` names no rule, or one that does not exist.

It has no effect then, which is easily overlooked. Rules are named by code or by name, several with commas between.
What is ignored does not fail `fac check`; `fac compile` and `fac train` still refuse a spec with errors.

Bad:

    name: example  # fac: ignore

Good:

    name: example  # the network of last year""",
    "FAC111": """\
The spec stands for more than can be checked in seconds.

A short text can stand for any number of layers and routes: blocks repeat each other, globs and short-hands name
whatever there is. Blocks may stand for 20,000 layers, globs and short-hands for 20,000 routes, or three for each layer
where those are more. What goes beyond is refused before it is written out, so nothing else is said of the spec.

Bad:

    layers:
      - kind: repeat
        times: 3000
        body:
          - {kind: repeat, times: 10, body: [{kind: relu}]}
      - {kind: linear, name: logits, out: 10}

Good:

    layers:
      - {kind: repeat, times: 30, body: [{kind: linear, out: 20}, {kind: relu}]}
      - {kind: linear, name: logits, out: 10}""",
    "FAC112": """\
The spec is not what it was when it was locked.

With `--locked`, and only then, each experiment is held to what `fac lock` wrote: its settings in the long form, shapes,
initial values, and what a step costs. That shows in a review what a change comes to: one default, one short-hand or
another version of `fac` may change experiments whose files nobody touched.

Bad, where the lock has `lr: 0.1`:

    update: {rule: sgd, lr: 0.2}

Good:

    update: {rule: sgd, lr: 0.1}""",
    "FAC113": """\
An experiment is missing from the lock, or the lock names one that is gone.

With `--locked`, and only then, every spec that is checked has to be locked. Experiments are known by their `name`, so
no two of them have the same. Of one that is locked there has to be a spec, be it among those that are checked or not.

Bad, where the lock has `example`:

    name: new

Good:

    name: example""",
}
