"""`python -m fac`."""

from fac.cli import main

main()
