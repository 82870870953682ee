"""Three good specs, and one whose feedback names a subspace that is not there."""

from __future__ import annotations

from pathlib import Path

NETWORK = """\
fac: 1
name: {name}
input: {{shape: [20]}}
layers:
  - {{kind: linear, name: fc1, out: 32}}
  - {{kind: relu}}
  - {{kind: linear, name: fc2, out: 32}}
  - {{kind: relu}}
  - {{kind: linear, name: logits, out: 10}}
loss: {{kind: cross_entropy}}
update: {{rule: sgd, lr: 0.1}}
"""
BROKEN = """\
feedback:
  subspaces:
    - {name: task, of: loss, rank: 9}
  routes:
    - {to: fc1, from: tsak, matrix: {kind: random}}
    - {to: fc2, from: task, matrix: {kind: random}}
"""
FEEDBACK = {
    "direct": "feedback: {rule: dfa}\n",
    "aligned": "feedback: {rule: fa}\n",
    "exact": "feedback: {rule: bp}\n",
    "broken": BROKEN,
}
PLACE = "16:23"
"""Line and column of the wrong name."""
MESSAGE = "no error source is called `tsak`"
REMEDY = "did you mean `task`?"


def write(folder: Path, *names: str) -> None:
    """Write specs of these names into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or FEEDBACK:
        text = NETWORK.format(name=name) + FEEDBACK[name]
        (folder / f"{name}.fac.yaml").write_text(text)


def mend(folder: Path) -> None:
    """Do what the finding suggests."""
    file = folder / "broken.fac.yaml"
    file.write_text(file.read_text().replace("tsak", "task"))
