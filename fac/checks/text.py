"""Help pages of FAC1xx: texts that are no specs. Findings of reading, not of a check."""

from __future__ import annotations

TEXT = {
    "FAC101": """\
The file is not YAML, and not JSON, which is YAML too.

The parser stops at the first such place, so that only one finding is reported. Frequent causes: a tab in the
indentation, a bracket or a quote that is not closed, a value that holds `: ` and is not quoted.

Bad: `input: {shape: [784]`.
Good: `input: {shape: [784]}`.""",
    "FAC102": """\
A value has the wrong type, or lies outside the allowed range.

Nothing is converted: text in quotes is not a number, and `no` is text. Write `true` or `false` for booleans.

Bad: `{kind: linear, out: "512", bias: no}`.
Good: `{kind: linear, out: 512, bias: false}`.""",
    "FAC103": """\
A key is not a field of the section that it stands in.

A key that nobody reads would be ignored in silence, so that a misspelt setting keeps its default.

Bad: `{kind: linear, name: fc1, uot: 512}`.
Good: `{kind: linear, name: fc1, out: 512}`.""",
    "FAC104": """\
A field without a default is missing.

Bad: `{kind: linear, name: fc1}`.
Good: `{kind: linear, name: fc1, out: 512}`.""",
    "FAC105": """\
No installed layer, loss, matrix, rule, update or data source has this name.

The kinds that plug-ins add count. `fac schema` lists all that are installed here.

Bad: `{kind: rleu}`.
Good: `{kind: relu}`.""",
    "FAC106": """\
A mapping holds one key twice.

YAML parsers often keep the last one in silence. Here neither wins.

Bad: `train: {epochs: 5, batch: 32, epochs: 10}`.
Good: `train: {epochs: 10, batch: 32}`.""",
    "FAC107": """\
The file holds nothing, or comments only.

`fac init` writes a spec to start from.

Bad: an empty file.
Good: a file that starts with `fac: 1`.""",
    "FAC108": """\
The text is YAML, but uses something that no spec needs.

A spec is a mapping of text keys to text, finite numbers, booleans, lists and mappings. Tags, dates, binary
data, merge keys and data that holds itself are refused, and so are texts of extreme depth or size.

Bad: `update: {<<: *base, lr: 0.1}`.
Good: `update: {rule: sgd, lr: 0.1}`.""",
}
