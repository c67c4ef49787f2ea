"""The command line as a module: `python -m study` is `retune`."""

from study.cli import main

main()
