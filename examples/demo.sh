#!/usr/bin/env bash
# A tour of fac on one example: check, show, compile, train, and compare with backpropagation, plain feedback alignment
# and the last layer alone. Takes a minute or two; leaves everything in build/ and runs/; can be run again at any time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/.venv/bin:$PATH"
SPEC=examples/fashion_ldfa.fac.yaml

step() { # what it is for, then the command
  printf '\n\n# %s\n$ %s\n' "$1" "${*:2}"
  "${@:2}"
}

command -v fac >/dev/null || { echo "fac is not installed: run \`make demo\`" >&2; exit 2; }

step "Is every route possible, and does the file keep its own constraints?" \
  fac check "$SPEC"
step "Where does each layer's error come from, and what does the backward pass cost?" \
  fac show "$SPEC"
step "Straight-line torch code that runs without fac:" \
  fac compile "$SPEC" --backend torch -o build/fashion_ldfa
step "Train it; the folder of the run keeps spec, log and final state:" \
  fac train "$SPEC" --backend torch
step "The same network under four rules, each at its own learning rate, over three seeds of two epochs:" \
  fac compare examples/fashion_{bp,ldfa,fa,shallow}.fac.yaml --backend torch --seeds 3 --set train.epochs=2

cat <<'END'

`shallow` trains the last layer alone on random features: what a rule scores above it, it owes to the layers below.
Next: read build/fashion_ldfa/step.py and examples/README.md, or start your own with `fac init`.
END
