"""The command line: methods, budget, plan, fetch, run, status, report, export, gc, merge, data.

Exit status: 0 when everything asked for is done, 1 when something failed, 2 for wrong input, 130 when interrupted.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gc import freeze
from typing import NamedTuple, NoReturn

import typer
from typer.core import TyperCommand

from study.commands.analyse import ANALYSE_EXAMPLES, analyse
from study.commands.budget import BUDGET_EXAMPLES, Listing, budget
from study.commands.data import data
from study.commands.export import EXPORT_EXAMPLES, export
from study.commands.fetch import fetch
from study.commands.findings import findings
from study.commands.gc import gc
from study.commands.merge import MERGE_EXAMPLES, merge
from study.commands.methods import methods
from study.commands.plan import plan
from study.commands.recommend import recommend
from study.commands.report import REPORT_EXAMPLES, report
from study.commands.run import run
from study.commands.status import STATUS_EXAMPLES, status
from trainables.frozen import ConfigError
from trainables.machine.processes import RunError
from trainables.runtime import TrainingError
from trainables.store.store import StoreError


class Command(NamedTuple):
    """A command: its function, what stands below its help, and how its arguments are taken apart."""

    function: Callable[..., None]
    examples: str | None = None
    parsed_by: type[TyperCommand] = TyperCommand


COMMANDS = {
    "plan": Command(plan),
    "fetch": Command(fetch),
    "run": Command(run),
    "gc": Command(gc),
    "methods": Command(methods),
    "budget": Command(budget, BUDGET_EXAMPLES, parsed_by=Listing),
    "merge": Command(merge, MERGE_EXAMPLES),
    "report": Command(report, REPORT_EXAMPLES),
    "analyse": Command(analyse, ANALYSE_EXAMPLES),
    "findings": Command(findings),
    "recommend": Command(recommend),
    "status": Command(status, STATUS_EXAMPLES),
    "export": Command(export, EXPORT_EXAMPLES),
}
"""All commands by name, in the order of `retune --help`; `data` follows, a group of several."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Studies of continual updates of CLIP-like models: which way learns the most, forgets the least, and at what "
    "price. Start with: retune run demo",
)
for name, command in COMMANDS.items():
    app.command(name, cls=command.parsed_by, epilog=command.examples)(command.function)
app.add_typer(data, name="data")


def main() -> None:
    """Entry point of the command `retune`."""
    try:
        with _exit_status():
            app()
    finally:
        freeze()  # at its end Python looks through all objects once more: a second of work after open_clip


@contextmanager
def _exit_status() -> Iterator[None]:
    """Errors that a user can act on become one message and a status; others stay what they are."""
    try:
        yield
    except ConfigError as error:
        _die(str(error), 2)
    except (StoreError, RunError, TrainingError) as error:
        _die(str(error), 1)
    except OSError as error:
        _die(f"{error.filename or 'system'}: {error.strerror or error}", 1)


def _die(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"retune: {message}\n")
    sys.exit(code)
