"""Texts that are made to be hard: each family grows with its size, and what is quadratic in it soon shows.

A family is a function from a number of rows to a text. `grown` finds the number that fits into a size in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

Family = Callable[[int], str]

FAMILIES: dict[str, Family] = {}

HEAD = "fac: 1\nname: hard\ninput: {shape: [8]}\n"
TAIL = "loss: {kind: cross_entropy}\n"
SGD = "update: {rule: sgd, lr: 0.1}\n"
RANDOM = "matrix: {kind: random}"
NET = (
    "layers:\n"
    "  - {kind: linear, name: fc1, out: 8}\n"
    "  - {kind: relu}\n"
    "  - {kind: linear, name: fc2, out: 8}\n"
    "  - {kind: relu}\n"
    "  - {kind: linear, name: logits, out: 4}\n"
)


def family(make: Family) -> Family:
    """Add a family under the name of its function."""
    FAMILIES[make.__name__] = make
    return make


def grown(make: Family, size: int) -> str:
    """The largest text of a family, nearly, that has at most `size` bytes."""
    rows = 4
    for _ in range(8):
        fits = rows * size / len(make(rows).encode())
        if abs(fits - rows) < 1:
            break
        rows = max(1, int(fits))
    while rows > 1 and len(make(rows).encode()) > size:
        rows -= 1 + rows // 1000
    return make(rows)


def _listed(key: str, rows: Iterable[str]) -> str:
    return f"{key}:\n" + "".join(f"  - {row}\n" for row in rows)


def _spec(layers: Iterable[str], routes: Iterable[str] = (), more: str = SGD, subspaces: str = "") -> str:
    feedback = [f"    - {route}\n" for route in routes]
    section = f"feedback:\n{subspaces}" + ("  routes:\n" + "".join(feedback) if feedback else "")
    return HEAD + _listed("layers", layers) + TAIL + (section if feedback or subspaces else "") + more


def _deep(count: int) -> list[str]:
    """A chain of layers with weights, `l0` to the last."""
    return [f"{{kind: linear, name: l{i}, out: 8}}" for i in range(count)]


def _matrix(index: int) -> str:
    return f"matrix: {{kind: low_rank, rank: {1 + index % 4}}}"


def _on_one_line(text: str) -> str:
    """A spec in block style as JSON without a line end."""
    from fac.source.plain import load

    return json.dumps(load(text)[0])


# -- networks ----------------------------------------------------------------------------------------------------


@family
def chain(n: int) -> str:
    """Layers, one above the other."""
    return _spec([f"{{kind: {kind}}}" for _ in range(n) for kind in ("linear, out: 8", "tanh")])


@family
def activations(n: int) -> str:
    """Nothing but activations, all of which repeat."""
    return _spec(["{kind: linear, name: fc, out: 8}", *["{kind: relu}"] * n])


@family
def linear_on_linear(n: int) -> str:
    """Layers that all melt into one."""
    return _spec(["{kind: linear, out: 8}", "{kind: relu}", *["{kind: linear, out: 8}"] * n])


@family
def wide_add(n: int) -> str:
    """Layers that all read one, and one that reads them all."""
    rows = [f"{{kind: relu, name: r{i}, from: fc}}" for i in range(n)]
    names = ", ".join(f"r{i}" for i in range(n))
    return _spec(["{kind: linear, name: fc, out: 8}", *rows, f"{{kind: add, from: [{names}]}}"])


@family
def same_readers(n: int) -> str:
    """One layer that reads another many times over, and many that do it."""
    names = ", ".join(["fc"] * n)
    return _spec(["{kind: linear, name: fc, out: 8}", *[f"{{kind: add, from: [{names}]}}"] * 2])


@family
def dense(n: int) -> str:
    """Layers of which each reads all that are below."""
    side = max(2, int((2 * n) ** 0.5))
    names = [f"l{i}" for i in range(side)]
    rows = [f"{{kind: add, name: l{i}, from: [{', '.join(['fc', *names[:i]])}]}}" for i in range(1, side)]
    return _spec(
        ["{kind: linear, name: fc, out: 8}", "{kind: relu, name: l0}", *rows],
        [f"{{to: fc, at: l{i}, {RANDOM}}}" for i in range(1, side)],
    )


@family
def ladder(n: int) -> str:
    """Residual blocks, with a route to each and skips that none of the ways avoids."""
    rows = ["{kind: linear, name: a0, out: 8}"]
    for i in range(n):
        rows.append(f"{{kind: relu, name: r{i}, from: a{i}}}")
        rows.append(f"{{kind: linear, name: l{i}, out: 8}}")
        rows.append(f"{{kind: add, name: a{i + 1}, from: [a{i}, l{i}]}}")
    return _spec(rows, [f"{{to: l{i}, {RANDOM}}}" for i in range(n)], f"{SGD}constraints: {{max_skip: 1}}\n")


@family
def ladder_entries(n: int) -> str:
    """The same with errors that enter at the very top."""
    rows = ["{kind: linear, name: a0, out: 8}"]
    for i in range(n):
        rows.append(f"{{kind: linear, name: l{i}, out: 8}}")
        rows.append(f"{{kind: add, name: a{i + 1}, from: [a{i}, l{i}]}}")
    return _spec(rows, [f"{{to: l{i}, at: a{n}, combine: add, {RANDOM}}}" for i in range(n)])


@family
def unread(n: int) -> str:
    """Layers that nobody reads."""
    return _spec([f"{{kind: {kind}, from: input}}" for _ in range(n) for kind in ("relu", "linear, out: 3")])


@family
def zeros(n: int) -> str:
    """Weights that start at zero and stay there."""
    return _spec([r for _ in range(n) for r in ("{kind: linear, out: 8, init: zeros}", "{kind: relu}")])


@family
def duplicates(n: int) -> str:
    """Layers of one name."""
    return _spec([f"{{kind: linear, name: fc{i % 3}, out: 8}}" for i in range(n)])


@family
def array_names(n: int) -> str:
    """Layers that are called like the arrays of others."""
    return _spec([f"{{kind: linear, name: {'a.' * (i % 40)}l{i // 2}.weight, out: 8}}" for i in range(n)])


@family
def long_names(n: int) -> str:
    """Names of different lengths, long ones among them, and all of their arrays."""
    side = max(2, int((2 * n) ** 0.5))
    return _spec([f"{{kind: linear, name: {'a.' * i}b, out: 8}}" for i in range(side)])


@family
def wrong_shapes(n: int) -> str:
    """Layers that cannot read what is below."""
    rows = [f"{{kind: linear, name: l{i}, from: input, out: {i % 9 + 1}}}" for i in range(n)]
    rows += [f"{{kind: add, from: [l{i}, l{i + 1}]}}" for i in range(n - 1)]
    return _spec(rows)


@family
def wide_layers(n: int) -> str:
    """Numbers as large as they may be."""
    big = 2**63 - 1
    routes = [f"{{through: l{i}, matrix: {{kind: low_rank, rank: {big}}}}}" for i in range(n)]
    return _spec([f"{{kind: linear, name: l{i}, out: {big}}}" for i in range(n)], routes)


@family
def unknown_readers(n: int) -> str:
    """Layers that read what is not there."""
    return _spec([f"{{kind: relu, name: layer{i}, from: laier{i}}}" for i in range(n)])


# -- routes ------------------------------------------------------------------------------------------------------


@family
def through_routes(n: int) -> str:
    """A route through each layer."""
    return _spec(_deep(n), [f"{{through: l{i}, {_matrix(i)}}}" for i in range(n)])


@family
def to_routes(n: int) -> str:
    """A route to each layer."""
    return _spec(_deep(n), [f"{{to: l{i}, {_matrix(i)}}}" for i in range(n - 1)])


@family
def from_above(n: int) -> str:
    """A route to each layer from the one above it, and constraints that forbid it."""
    more = f"{SGD}constraints: {{max_skip: 0, max_rank: 1, single_error_source: true, no_weight_transport: true}}\n"
    return _spec(
        _deep(n), [f"{{to: l{i}, from: l{min(i + 2, n - 1)}, {_matrix(i)}}}" for i in range(n - 1)], more
    )


@family
def at_routes(n: int) -> str:
    """Errors that enter far above the layer that they are for."""
    rows = _deep(n)
    return _spec(rows, [f"{{to: l{i}, at: l{n - 1 - i}, {RANDOM}}}" for i in range(1, n)])


@family
def at_one_place(n: int) -> str:
    """Errors that all enter at one place, among thousands of branches."""
    rows = ["{kind: linear, name: fc, out: 8}"]
    rows += [f"{{kind: linear, name: l{i}, from: fc, out: 8}}" for i in range(n)]
    rows += [f"{{kind: add, name: top, from: [{', '.join(f'l{i}' for i in range(n))}]}}"]
    return _spec(rows, [f"{{to: l{i}, at: top, combine: add, {RANDOM}}}" for i in range(n)])


@family
def at_glob(n: int) -> str:
    """One route to every layer, which enters at the top of a ladder."""
    rows = ["{kind: linear, name: a0, out: 8}"]
    for i in range(n):
        rows.append(f"{{kind: linear, name: l{i}, out: 8}}")
        rows.append(f"{{kind: add, name: a{i + 1}, from: [a{i}, l{i}]}}")
    return _spec(rows, [f"{{to: 'l*', at: a{n}, {RANDOM}}}"])


@family
def add_routes(n: int) -> str:
    """Thousands of errors at one layer."""
    rows = ["{kind: linear, name: fc, out: 8}", "{kind: relu}", "{kind: linear, name: logits, out: 8}"]
    more = f"{SGD}constraints: {{single_error_source: true}}\n"
    return _spec(rows, [f"{{to: fc, combine: add, {_matrix(i)}}}" for i in range(n)], more)


@family
def equal_routes(n: int) -> str:
    """The same route, again and again."""
    return HEAD + NET + TAIL + "feedback:\n  routes:\n" + f"    - {{to: fc1, {RANDOM}}}\n" * n + SGD


@family
def equal_through(n: int) -> str:
    """The same replacement of a pass, again and again: each copy can be removed."""
    return HEAD + NET + TAIL + "feedback:\n  routes:\n" + f"    - {{through: fc2, {RANDOM}}}\n" * n + SGD


@family
def own_cycles(n: int) -> str:
    """Routes that make each error from itself."""
    return _spec(_deep(n), [f"{{to: l{i}, from: l{i}, combine: add, {RANDOM}}}" for i in range(n)])


@family
def long_cycles(n: int) -> str:
    """Routes that each close a circle through half the network."""
    routes = [f"{{to: l{n - 1 - i}, from: l{i}, combine: add, {RANDOM}}}" for i in range(n // 2)]
    return _spec(_deep(n), routes)


@family
def nested_cycles(n: int) -> str:
    """Thousands of circles through one layer, of different lengths."""
    routes = [f"{{to: l{i}, from: l0, combine: add, {RANDOM}}}" for i in range(n)]
    return _spec(_deep(n), routes)


@family
def cut_cycles(n: int) -> str:
    """Routes that would close circles if others did not cut them."""
    routes = [f"{{to: l{i}, from: l{max(0, i - 2)}, {RANDOM}}}" for i in range(n)]
    return _spec(_deep(n), routes)


@family
def ladder_cycles(n: int) -> str:
    """Circles through a network with two ways at every step."""
    rows = ["{kind: linear, name: a0, out: 8}"]
    for i in range(n):
        rows.append(f"{{kind: linear, name: l{i}, out: 8}}")
        rows.append(f"{{kind: add, name: a{i + 1}, from: [a{i}, l{i}]}}")
    routes = [f"{{to: l{n - 1 - i // 2}, from: l{i // 2}, combine: add, {RANDOM}}}" for i in range(n)]
    return _spec(rows, routes)


@family
def routes_to_activations(n: int) -> str:
    """Routes to layers without weights, the next weights far below."""
    rows = ["{kind: linear, name: fc, out: 8}", *(f"{{kind: tanh, name: t{i}}}" for i in range(n))]
    return _spec(rows, [f"{{to: t{n - 1 - i}, {RANDOM}}}" for i in range(n)])


@family
def routes_through_adds(n: int) -> str:
    """Routes through one layer that reads thousands."""
    rows = ["{kind: linear, name: fc, out: 8}", *(f"{{kind: tanh, name: t{i}, from: fc}}" for i in range(n))]
    rows.append(f"{{kind: add, name: top, from: [{', '.join(f't{i}' for i in range(n))}]}}")
    return _spec(rows, [f"{{through: top, {RANDOM}}}"] * n)


@family
def skips(n: int) -> str:
    """Routes from everywhere to everywhere in a network with short and long ways."""
    rows = ["{kind: linear, name: fc, out: 8}"]
    rows += [f"{{kind: linear, name: l{i}, out: 8}}" for i in range(n)]
    rows += [f"{{kind: linear, name: s{i}, from: fc, out: 8}}" for i in range(n)]
    rows.append(f"{{kind: add, from: [l{n - 1}, {', '.join(f's{i}' for i in range(n))}]}}")
    routes = [f"{{to: fc, from: s{i}, combine: add, {RANDOM}}}" for i in range(n)]
    return _spec(rows, routes, f"{SGD}constraints: {{max_skip: 0}}\n")


@family
def globs(n: int) -> str:
    """Globs that match everything."""
    side = max(1, int(n**0.5))
    rows = [f"{{kind: linear, name: l{i}, out: 8}}" for i in range(n)]
    return _spec(rows, [f"{{to: '*{i % 7}*', combine: add, {RANDOM}}}" for i in range(side)])


@family
def aliased_globs(n: int) -> str:
    """As many routes as a few lines can stand for."""
    routes = "".join(f"    - {{to: 'l*', combine: add, {RANDOM}}}\n" for _ in range(20))
    feedback = f"feedback:\n  - &a\n    routes:\n{routes}" + "  - *a\n" * (n // 20)
    return _spec(_deep(min(n, 150)), (), feedback + SGD)


@family
def aliased_rules(n: int) -> str:
    """Short-hands that all name the same layers, which are written once."""
    names = ", ".join(f"l{i}" for i in range(n // 2))
    first = f"{{rule: fa, nodes: &a [{names}]}}"
    return _spec(_deep(n // 2), (), _listed("feedback", [first, *["{rule: fa, nodes: *a}"] * n]) + SGD)


@family
def all_globs(n: int) -> str:
    """More globs than are taken."""
    return _spec(_deep(n), [f"{{to: '*', combine: add, {RANDOM}}}"] * n)


@family
def idle_globs(n: int) -> str:
    """Globs that match nothing, with as many stars as fit."""
    rows = [f"{{kind: linear, name: {'a' * 60}{i}, out: 8}}" for i in range(min(n, 300))]
    return _spec(rows, [f"{{to: '{'*a' * 20}*{i}b', {RANDOM}}}" for i in range(n)])


@family
def question_globs(n: int) -> str:
    """Globs that a backtracking matcher gets lost in."""
    rows = [f"{{kind: linear, name: {'a' * 60}{i}, out: 8}}" for i in range(min(n, 100))]
    return _spec(rows, [f"{{to: '{'*[ab]?' * 12}*{i}z', {RANDOM}}}" for i in range(n)])


@family
def unknown_routes(n: int) -> str:
    """Routes to, from and at names that are not there."""
    routes = [
        f"{{{word}, {RANDOM}}}"
        for i in range(n)
        for word in (f"to: m{i}", f"through: k{i}", f"to: l{i}, from: lay{i}", f"to: l{i}, at: j{i}")
    ]
    return _spec(_deep(n), routes)


@family
def subspaces(n: int) -> str:
    """Subspaces that are read, and as many that are not."""
    rows = "".join(f"    - {{name: s{i}, of: l{i // 2}, rank: 99}}\n" for i in range(n))
    routes = [f"{{to: l{i}, from: s{2 * i}, {RANDOM}}}" for i in range(n // 2)]
    return _spec(_deep(n), routes, SGD, f"  subspaces:\n{rows}")


@family
def idle_subspaces(n: int) -> str:
    """Subspaces that no route reads, with learning rules that cannot teach them."""
    rows = "".join(f"    - {{name: s{i}, rank: 2, basis: {{rule: local}}}}\n" for i in range(n))
    return HEAD + NET + TAIL + f"feedback:\n  subspaces:\n{rows}" + SGD


@family
def rules(n: int) -> str:
    """Short-hands that all mean the same layers."""
    return HEAD + NET + TAIL + _listed("feedback", ["{rule: fa}"] * n) + SGD


@family
def rules_by_name(n: int) -> str:
    """One short-hand with thousands of globs."""
    names = ", ".join(f"l{i}, x{i}" for i in range(n))
    return _spec(_deep(n), (), f"feedback: {{rule: ldfa, rank: 2, nodes: [{names}]}}\n{SGD}")


@family
def rules_apart(n: int) -> str:
    """A short-hand for each layer."""
    feedback = _listed("feedback", (f"{{rule: fa, nodes: l{i}}}" for i in range(n)))
    return _spec(_deep(n), (), feedback + SGD)


@family
def sections(n: int) -> str:
    """A long form for each route."""
    feedback = _listed("feedback", (f"{{routes: [{{to: l{i}, {RANDOM}}}]}}" for i in range(n)))
    return _spec(_deep(n), (), feedback + SGD)


@family
def twins(n: int) -> str:
    """Matrices that follow their weights, and a group for each of them."""
    routes = [
        f"{{through: l{i}, matrix: {{kind: random, learn: {{rule: kolen_pollack}}}}}}" for i in range(n)
    ]
    groups = ", ".join(f"{{match: l{i}.feedback.B, lr_scale: 0.5}}" for i in range(n))
    return _spec(_deep(n), routes, f"update: {{rule: sgd, lr: 0.1, groups: [{groups}]}}\n")


@family
def normative(n: int) -> str:
    """Pairs whose steps overshoot, with groups that nearly match."""
    matrix = "{kind: low_rank, rank: 2, init: svd, read: {rule: normative}, write: {rule: normative}}"
    routes = [f"{{through: l{i}, matrix: {matrix}}}" for i in range(n)]
    groups = ", ".join(f"{{match: 'l{i}.feedback.*', lr_scale: 0.0}}" for i in range(n))
    return _spec(_deep(n), routes, f"update: {{rule: sgd, lr: 9.0, groups: [{groups}]}}\n")


@family
def no_error_passes(n: int) -> str:
    """Scales of zero, and matrices of zeros."""
    routes = [f"{{to: l{i}, matrix: {{kind: random, scale: 0, init: zeros}}}}" for i in range(n)]
    return _spec(_deep(n), routes)


@family
def out_of_proportion(n: int) -> str:
    """Errors that grow from layer to layer."""
    routes = [f"{{through: l{i}, matrix: {{kind: random, scale: 1e300}}}}" for i in range(1, n)]
    return _spec(_deep(n), routes)


@family
def costs(n: int) -> str:
    """A step that has to be compiled for its bounds."""
    more = "constraints: {backward_macs_vs_backprop: {at_most: 0.1}, peak_memory: {at_most: 1 kB}}\n"
    return _spec(_deep(n), [f"{{to: l{i}, {_matrix(i)}}}" for i in range(n - 1)], SGD + more)


# -- the rest of a spec ------------------------------------------------------------------------------------------


@family
def groups(n: int) -> str:
    """Groups that match all parameters, so that only the last one counts."""
    rows = "".join(f"    - {{match: '*', lr_scale: {i}.0, use: {{rule: adam, lr: 9.0}}}}\n" for i in range(n))
    return HEAD + NET + TAIL + f"update:\n  rule: sgd\n  lr: 0.1\n  groups:\n{rows}"


@family
def idle_groups(n: int) -> str:
    """Groups that match nothing, beside as many parameters."""
    rows = "".join(f"    - {{match: 'k{i}.*', weight_decay: 99.0}}\n" for i in range(n))
    return _spec(_deep(n), (), f"update:\n  rule: sgd\n  lr: 0.1\n  groups:\n{rows}")


@family
def probes(n: int) -> str:
    """The same probe, again and again."""
    return HEAD + NET + TAIL + SGD + _listed("probes", ["{kind: alignment}"] * n)


@family
def allowed(n: int) -> str:
    """Long lists of what is allowed, and routes that are not among it."""
    rules, matrices = ", ".join(["fa"] * n), ", ".join(["identity"] * n)
    more = f"{SGD}constraints: {{allowed_rules: [{rules}], allowed_matrices: [{matrices}]}}\n"
    return _spec(_deep(n), [f"{{to: l{i}, {RANDOM}}}" for i in range(n)], more)


# -- what is no spec ---------------------------------------------------------------------------------------------


@family
def misspelt_keys(n: int) -> str:
    """Keys that a fix can mend."""
    return _spec([f"{{kind: linear, nmae: l{i}, out: 8}}" for i in range(n)])


@family
def misspelt_names(n: int) -> str:
    """Names on allow-lists that no kind has."""
    rules, matrices = (", ".join(f"{word}{i}" for i in range(n)) for word in ("lfda", "x"))
    more = f"{SGD}constraints: {{allowed_rules: [{rules}], allowed_matrices: [{matrices}]}}\n"
    return _spec(_deep(n), (), more)


@family
def bare_kinds(n: int) -> str:
    """Kinds without the mapping that they belong in, which a fix can mend."""
    return _spec(["relu"] * n)


@family
def misspelt_kinds(n: int) -> str:
    """Kinds that a fix can mend."""
    return _spec(["{kind: linaer, out: 8}"] * n)


@family
def numbers_in_quotes(n: int) -> str:
    """Numbers that a fix can mend, on lines of their own."""
    return _spec(['kind: linear\n    out: "8"\n    bias: "yes"'] * n)


@family
def ranks_to_lower(n: int) -> str:
    """Ranks that a fix can mend."""
    routes = [f"{{through: l{i}, matrix: {{kind: low_rank, rank: 64}}}}" for i in range(1, n)]
    return _spec(_deep(n), routes)


@family
def fixes_that_fail(n: int) -> str:
    """Fixes of text that an alias repeats, so that none can be made, and some that can."""
    routes = [f"{{through: l{i}, matrix: *m}}" for i in range(2, n)]
    first = "{through: l1, matrix: &m {kind: low_rank, rank: 64}}"
    return _spec(_deep(n), [first, *routes])


@family
def fixes_beside_comments(n: int) -> str:
    """Routes that do nothing, written in ways that are hard to edit."""
    row = f"    - # why\n      {{to: fc1, {RANDOM}}} # because\n    -   to: fc1\n\n        {RANDOM}\n"
    return HEAD + NET + TAIL + f"feedback:\n  routes:\n{row * n}" + SGD


@family
def fixes_on_one_line(n: int) -> str:
    """Keys that a fix can mend, all in one line of JSON."""
    return _on_one_line(misspelt_keys(n))


@family
def unknown_keys(n: int) -> str:
    """One mapping with thousands of keys that it has no use for."""
    return HEAD + NET + TAIL + SGD + "".join(f"key{i}: {i}\n" for i in range(n))


@family
def unknown_fields(n: int) -> str:
    """One layer with thousands of fields."""
    return _spec([f"{{kind: linear, out: 8, {', '.join(f'f{i}: {i}' for i in range(n))}}}"])


@family
def near_keys(n: int) -> str:
    """Keys that are all nearly the ones that are missing."""
    return "".join(f"{word}{i}: 1\n" for i in range(n) for word in ("updat", "layer", "los", "inpt"))


@family
def nothing_fits(n: int) -> str:
    """Values of wrong forms everywhere."""
    values = ["1", "text", "[1]", "{a: 1}", "true", "~", "2.5", "'3'"]
    rows = [f"{{kind: linear, out: {values[i % 8]}, name: {values[-1 - i % 8]}}}" for i in range(n)]
    return _spec(rows, [f"{{to: {values[i % 8]}, matrix: {values[-1 - i % 8]}}}" for i in range(n)])


@family
def small_items(n: int) -> str:
    """Lists of nothing."""
    return HEAD + f"layers: [{'[],' * n}]\n" + TAIL + SGD


@family
def duplicate_keys(n: int) -> str:
    """One key, thousands of times."""
    return HEAD + "name: again\n" * n + NET


@family
def long_values(n: int) -> str:
    """A few values of hundreds of thousands of characters, wherever text may stand."""
    word = "x" * n
    return (
        f"fac: 1\nname: '{word}'\ninput: {{shape: [8]}}\nlayers:\n"
        f"  - {{kind: {word}, {word}: 1}}\n  - {{kind: linear, out: '{word}'}}\n"
        f"loss: {word}\nfeedback: {{rule: {word}}}\nupdate: {{rule: sgd, lr: {word}}}\n{word}: 1\n"
    )


@family
def long_words(n: int) -> str:
    """The same in a spec that is read: names, globs, targets and comments."""
    word = "x" * n
    row = f"{{kind: linear, name: {word}, out: 8}}"
    routes = [f"{{to: '{word}*', from: {word}y, at: {word}z, {RANDOM}}}", f"{{through: 'y{word}', {RANDOM}}}"]
    return f"# fac: ignore[{word}]\n" + _spec([row, "{kind: linear, out: 4}"], routes)


@family
def long_number(n: int) -> str:
    """A number of hundreds of thousands of digits, and some others."""
    digits = "9" * n
    return f"fac: 1{digits}\nname: 0x{digits}\ninput: {{shape: [1.{digits}, 1e{digits}, .{digits}, {digits}.]}}\n"


@family
def underscores(n: int) -> str:
    """What may be a number until its last character."""
    return f"fac: {'_' * n}x\nname: 1{'_0' * n}.x\ninput: {'1' * n}-{'1' * n}\n"


@family
def blank_lines(n: int) -> str:
    """Lines with nothing on them, before, in and behind a spec that lacks much."""
    return "\n" * n + HEAD + "\n \n" * n + NET + " \n" * n


@family
def aliases(n: int) -> str:
    """As many values as aliases may stand for."""
    text = "fac: 1\nname: hard\ninput: {shape: [8]}\nlayers:\n  - &a {kind: linear, out: 8, bias: true}\n"
    return text + "  - *a\n" * n + TAIL + SGD


@family
def alias_bomb(n: int) -> str:
    """Lines each of which stands for nine of the line before."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]\n"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, n)]
    return "".join(rows)


@family
def anchors(n: int) -> str:
    """An anchor for every value."""
    return HEAD + "layers:\n" + "".join(f"  - &a{i} {{kind: &k{i} relu}}\n" for i in range(n))


@family
def nested(n: int) -> str:
    """As deep as may be, again and again."""
    return HEAD + "layers:\n" + f"  - {'[' * 95}{']' * 95}\n" * n


@family
def too_deep(n: int) -> str:
    """Brackets that are never closed."""
    return "[" * n


@family
def indented(n: int) -> str:
    """Each line is a level deeper."""
    return "".join(f"{' ' * i}a{i}:\n" for i in range(max(1, int((2 * n) ** 0.5))))


@family
def dashes(n: int) -> str:
    """Lists of lists of lists, on one line."""
    return f"layers:\n{'- ' * n}\n"


@family
def question_marks(n: int) -> str:
    """Keys that are marked as such."""
    return "".join(f"? key{i}\n: {i}\n" for i in range(n))


@family
def colons(n: int) -> str:
    """Values that might be keys."""
    return f"a{': b' * n}\n"


@family
def quotes(n: int) -> str:
    """Text in quotes, over thousands of lines."""
    return 'name: "' + "a\\\n  " * n + '"\nfac: "' + "\\u0041" * n + "\"\nloss: 'it''s" + "''" * n + "'\n"


@family
def block_text(n: int) -> str:
    """Text in lines."""
    return "name: |\n" + "  # fac: ignore[FAC301]\n" * n + "fac: 1\nloss: >\n" + "  folded\n" * n


@family
def tags(n: int) -> str:
    """A tag for every value."""
    return HEAD + "layers:\n" + "  - !!python/object/apply:os.system {kind: !x relu}\n" * n


@family
def odd_line_ends(n: int) -> str:
    """Line ends that some count and others do not."""
    return HEAD + "layers:\n" + "  - {kind: relu, nmae: 'a\u2028b\u0085c'} # x\u2029\r\n" * n


@family
def wide_characters(n: int) -> str:
    """Characters beyond those that a font has."""
    return HEAD + "layers:\n" + "  - {kind: '😀\u0301漢', name: \"\\x1b[31m\\u202e\"}\n" * n


@family
def not_yaml(n: int) -> str:
    """A mistake behind all the rest."""
    return HEAD + "layers:\n" + "  - {kind: relu}\n" * n + "  - {kind: relu\nloss: {"


@family
def tab_in_the_end(n: int) -> str:
    """Text that the quick parser reads to its end before it gives up."""
    return HEAD + "layers:\n" + "  - {kind: linear, out: 8}\n" * n + "\tloss: 1\n"


# -- comments ----------------------------------------------------------------------------------------------------


@family
def comments(n: int) -> str:
    """Comments that ask for nothing."""
    return HEAD + "# fac: a line about nothing\n" * n + NET + TAIL + SGD


@family
def idle_ignores(n: int) -> str:
    """Ignores that ignore nothing."""
    return _spec(["{kind: linear, out: 8} # fac: ignore[FAC301, FAC302] for no reason"] * n)


@family
def used_ignores(n: int) -> str:
    """Ignores that ignore a finding each."""
    rows = ["{kind: linear, out: 8}", "{kind: relu}", *["{kind: relu} # fac: ignore[FAC215]"] * n]
    return _spec(rows)


@family
def ignores_of_the_file(n: int) -> str:
    """Ignores of the whole file, and as many findings."""
    return "# fac: ignore-file[FAC301, FAC302]\n" * n + _spec(["{kind: relu}"] * n)


@family
def ignores_on_one_line(n: int) -> str:
    """Thousands of ignores of one line, which has as many findings."""
    layers = ", ".join(["{kind: relu}"] * n)
    return HEAD + f"layers: [{layers}] {'# fac: ignore[FAC301] ' * n}\n" + TAIL + SGD


@family
def ignores_of_the_next_line(n: int) -> str:
    """Ignores that all stand above one value."""
    return HEAD + "# fac: ignore[FAC301]\n" * n + NET + TAIL + SGD


@family
def many_codes(n: int) -> str:
    """One ignore of thousands of rules, and of rules that are not there."""
    codes = ", ".join("FAC301" for _ in range(n))
    return (
        f"# fac: ignore-file[{codes}]\n" + HEAD + NET + TAIL + SGD + f"# fac: ignore[FAC301,{'FACX,' * n}]\n"
    )


@family
def misspelt_ignores(n: int) -> str:
    """Ignores of rules that are nearly there."""
    return HEAD + "".join(f"# fac: ignore[rank-exceds-source{i}]\n" for i in range(n)) + NET + TAIL + SGD


@family
def signs(n: int) -> str:
    """One line of what might all be comments."""
    return HEAD + "# fac: x" * n + "\n" + NET + TAIL + SGD


@family
def open_brackets(n: int) -> str:
    """One line of comments whose brackets do not close."""
    return HEAD + "# fac: ignor[" * n + "\n" + NET + TAIL + SGD


@family
def ignores_in_text(n: int) -> str:
    """What looks like comments, in text."""
    return HEAD + "layers:\n" + "  - {kind: 'relu # fac: ignore[FAC301]'}\n" * n


# -- on one line -------------------------------------------------------------------------------------------------


@family
def findings_on_one_line(n: int) -> str:
    """Thousands of findings in one line of JSON."""
    return _on_one_line(_spec(["{kind: relu}"] * n))


@family
def unknown_on_one_line(n: int) -> str:
    """The same of values that do not fit."""
    return HEAD + f"layers: [{'1,' * n}]\n"


@family
def routes_on_one_line(n: int) -> str:
    """The same of routes that can be removed."""
    return _on_one_line(equal_through(n))


@family
def carriage_returns(n: int) -> str:
    """Lines that end as they did on another machine, with findings on each."""
    return _spec(["{kind: relu}"] * n).replace("\n", "\r")
