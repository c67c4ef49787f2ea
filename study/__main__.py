"""The command line as a module: `python -m study` is `retune`."""

from study.commands.app import main

main()
