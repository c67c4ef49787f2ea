"""The command `retune status`: once, or renewed in place while a run goes on."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from study.commands.console import FolderArgument
from study.folder.folder import Folder
from study.status.observer import Observer
from study.status.status import Status
from study.status.view import lines

_TERMINAL_SECONDS, _FILE_SECONDS = 2.0, 60.0
_SHARE = 0.2
"""Most of the time that watching may take: a look at a large study on a remote store takes a while."""

STATUS_EXAMPLES = """Examples:

retune status runs/demo --watch

retune status runs/demo --json | jq .spent.mafs

Waste: the time of attempts that failed, were killed or interrupted, from the
last task on that each had finished; what was finished is never computed again."""


def status(
    folder: FolderArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Look again until the run has ended, or Ctrl-C.")] = False,
    trials: Annotated[bool, typer.Option("--trials", help="List every trial.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as a JSON object; with --watch one a line.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(help="Seconds between looks.", min=0, show_default="2, and 60 where it is no terminal"),
    ] = None,
) -> None:
    """Say where a study stands: trials, rate, time left, cost, waste by failures, methods, nodes, the best so far.

    It reads the study's plan, store and log, and asks nothing of a running process, so it may be on another machine.
    """
    observer = Observer(Folder(path=folder))

    def text(now: Status) -> str:
        return "\n".join(lines(now, folder=str(folder), trials=trials))

    if not watch:
        now = observer.take_status()
        typer.echo(now.as_json() if as_json else text(now))
    elif as_json:
        for now in _looks(observer, every or 0.0 if every is not None else _FILE_SECONDS):
            typer.echo(json.dumps(asdict(now)))
    elif sys.stdout.isatty():
        _renew(_looks(observer, _TERMINAL_SECONDS if every is None else every), text)
    else:
        for now in _looks(observer, _FILE_SECONDS if every is None else every):
            typer.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{text(now)}\n")


def _looks(observer: Observer, pause: float) -> Iterator[Status]:
    """Statuses until the run has ended."""
    while True:
        began = time.monotonic()
        now = observer.take_status()
        yield now
        if not now.live:
            return
        time.sleep(max(pause, (time.monotonic() - began) / _SHARE))


def _renew(looks: Iterator[Status], text: Callable[[Status], str]) -> None:
    """Show the status as one block that is renewed in place; it is cut to the screen until the last one."""
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        for now in looks:
            live.update(Text(text(now), no_wrap=True, overflow="ellipsis"), refresh=True)
