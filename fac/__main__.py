"""`fac` and `python -m fac`: Ctrl-C is heard before what takes time is imported."""

from fac.signals import interruptible


def main() -> None:
    """Run the command line, see `fac.cli.main`."""
    interruptible()
    from fac.cli import main as run

    run()


if __name__ == "__main__":
    main()
