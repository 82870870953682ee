"""`fac` and `python -m fac`: what has to be settled before what takes time is imported."""

import os

from fac.signals import interruptible


def main() -> None:
    """Run the command line, see `fac.cli.main`. Ctrl-C is heard from here on.

    OpenMP reads its settings when torch is imported. Its threads, where nothing is said, wait for each other by
    computing, and with other work on the machine that takes a hundred times as long as a step of a small network.
    """
    interruptible()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from fac.cli import main as run

    run()


if __name__ == "__main__":
    main()
