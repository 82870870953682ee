"""The reference table: learning rules on small networks of four kinds, each with the learning rate that suits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fac.studies import Benchmark, Task, between, leads

RULES: Mapping[str, str] = {
    "bp": "backpropagation",
    "fa": "feedback alignment: a fixed random matrix in place of each W^T (Lillicrap et al. 2016)",
    "dfa": "direct feedback alignment: the output error, through fixed random matrices, to every layer (Nøkland 2016)",
    "ldfa": "low-dimensional feedback alignment: pairs Q P of low rank that learn, P by Oja's rule and Q by "
    "Kolen-Pollack (Hanut and Kadmon 2025)",
    "ldfa learn=fixed": "the same pairs, which stay as they were drawn",
    "frsf": "sign-symmetric feedback: the signs of W^T, sizes that are drawn once (Liao et al. 2016; Sanfiz and Akrout "
    "2021)",
    "fa learn.rule=kolen_pollack": "Kolen-Pollack: feedback matrices that take the steps of the weights and "
    "their decay (Kolen and Pollack 1994; Akrout et al. 2019)",
    "drtp": "direct random target projection: targets in place of the error (Frenkel et al. 2021)",
    "frozen": "the first and the last layer learn, by exact errors through hidden layers at their initial values",
    "shallow": "the last layer learns alone",
}

SGD = {"update.lr": "0.001,0.003,0.01,0.03,0.1,0.3"}
ADAM = {"update.lr": "0.001,0.003,0.01,0.03,0.1"}

MLP = Task(
    "Digits: an MLP",
    "mlp.fac.yaml",
    SGD,
    trials=6,
    seeds=5,
    claims=[
        leads("bp", "shallow", "test_accuracy", 0.02),
        between("bp", "test_accuracy", 96, 100, scale=100),
    ],
    says="64-32-32-32-10, relu, 20 epochs in batches of 32 by SGD with momentum .9 and a decay of .001.",
)
CONV = Task(
    "Digits: a convolutional network",
    "conv.fac.yaml",
    SGD,
    trials=6,
    seeds=5,
    claims=[
        leads("bp", "shallow", "test_accuracy", 0.02),
        between("bp", "test_accuracy", 96, 100, scale=100),
    ],
    says="Convolutions of 8, 16 and 16 channels, two max pools, a hidden layer of 32, relu, no normalisation; 20 "
    "epochs in batches of 64 by SGD with momentum .9 and a decay of .001.",
)
VIT = Task(
    "Digits: a vision transformer",
    "vit.fac.yaml",
    ADAM,
    trials=5,
    seeds=5,
    claims=[
        leads("bp", "shallow", "test_accuracy", 0.02),
        between("bp", "test_accuracy", 92, 100, scale=100),
    ],
    says="16 patches of 2×2 pixels, one block 24 wide with 4 heads; 15 epochs in batches of 32 by AdamW with a decay "
    "of .05.",
)
GRU = Task(
    "Digits, row by row: a GRU",
    "gru.fac.yaml",
    ADAM,
    trials=5,
    seeds=5,
    claims=[
        leads("bp", "shallow", "test_accuracy", 0.02),
        between("bp", "test_accuracy", 94, 100, scale=100),
    ],
    says="Eight steps of eight pixels, 32 units, their last state to the head; 20 epochs in batches of 64 by AdamW "
    "with a decay of .05. A layer-wise rule replaces the recurrent weight at each step back in time, too; `frozen` "
    "leaves that weight at its initial value.",
)
FASHION = Task(
    "Fashion-MNIST: an MLP",
    "fashion.fac.yaml",
    SGD,
    trials=6,
    seeds=5,
    claims=[leads("bp", "shallow", "test_accuracy", 0.02), between("bp", "test_accuracy", 85, 92, scale=100)],
    says="784-256-256-256-10, relu, 3 epochs in batches of 128 by SGD with momentum .9 and a decay of .001.",
)

SHORT = Task(
    MLP.title,
    MLP.spec,
    {"update.lr": "0.01,0.03"},
    trials=2,
    seeds=2,
    changes=("train.epochs=4",),
    rules=("bp", "fa", "fa learn.rule=kolen_pollack", "frozen", "shallow"),
    claims=[leads("bp", "shallow", "test_accuracy", 0.02)],
    says=MLP.says.replace("20 epochs", "4 epochs"),
)


def tasks(short: bool) -> Sequence[Task]:
    """All of them."""
    return (SHORT,) if short else (MLP, CONV, VIT, GRU, FASHION)


STUDY = Benchmark(
    "Learning rules on small networks",
    "The rules of the field on networks that train in seconds, with equal budgets.",
    RULES,
    tasks,
)
