"""A page's blocks as a reader would follow them: files are written, studies planned, commands run, in a folder."""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from study.commands import app
from study.definition.files import load
from study.planning.plan import make_plan
from study.search.check import check_search
from tests.docs.pages import ROOT, Block, PageError, commands
from tests.study import command
from trainables.__main__ import main as trial
from trainables.frozen import ConfigError

_ADVICE = (
    "Make the block right, or say in a comment right before its fence why no test runs it: "
    "<!-- not run: REASON -->; tests/docs/pages.py lists all such comments"
)
_SHELL = {"|", "&&", "||", ";", "&", "<"}


def follow(block: Block, folder: Path) -> None:
    """Do in a folder what a block says.

    Raises:
        PageError: it does not do what the page says.
    """
    with contextlib.chdir(folder):
        for line in block.before:
            _run(line, block)
        if block.language == "yaml":
            _plan(block)
        if block.language == "json":
            _write(block, json.loads(block.text))
        if block.language == "dockerfile":
            raise PageError(f"{block.where}: no test builds an image. {_ADVICE}")
        if block.language in {"sh", "console"}:
            for line, printed in commands(block):
                said = " ".join(_run(line, block).split())
                if missing := [one for one in printed if one not in said]:
                    raise PageError(f"{block.where}: {line}\ndoes not print {missing}, but\n{said}\n{_ADVICE}")


def misused(line: str) -> str | None:
    """What the command line of retune does not know in a line that begins with `retune`; None when it knows all."""
    words = shlex.split(line, comments=True)[1:]
    known: Any = typer.main.get_command(app.app)
    while words and hasattr(known, "commands"):
        name = words.pop(0)
        if name not in known.commands and name != "--help":
            return f"there is no command {name}"
        known = known.commands.get(name, known)
    every = (option for parameter in known.params for option in (*parameter.opts, *parameter.secondary_opts))
    options = {*every, "--help"}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    unknown = [option for option in given if option not in options]
    return f"there is no option {unknown[0]}" if unknown else None


def command_names(group: Any = None, above: str = "retune") -> Iterator[str]:
    """All commands, such as "retune data import folder"."""
    known: Any = group or typer.main.get_command(app.app)
    for name, one in known.commands.items():
        yield from command_names(one, f"{above} {name}") if hasattr(one, "commands") else [f"{above} {name}"]


def _run(line: str, block: Block) -> str:
    """Run a command in the current folder; returns what it printed."""
    words = shlex.split(line, comments=True)
    if words[0] == "retune":
        done = _retune(words[1:], block)
    elif words[:3] == ["python", "-m", "trainables"]:
        done = _trial(words[3:])
    else:
        done = _shell(line)
    if done.returncode:
        said = done.stdout + done.stderr
        raise PageError(f"{block.where}: {line}\nended with status {done.returncode} and said\n{said}\n{_ADVICE}")
    return done.stdout + done.stderr


def _retune(words: Sequence[str], block: Block) -> subprocess.CompletedProcess[str]:
    """Run the command in this process. Trials run in it, too: Ray is tested elsewhere."""
    *given, sign, out = words if len(words) > 2 and words[-2] == ">" else (*words, "", "")
    if _SHELL & set(given):
        raise PageError(f"{block.where}: retune {shlex.join(words)}\none command a line, with '> FILE' at most")
    inline = ["--inline"] if given[0] == "run" and "--inline" not in given else []
    done = command.here(*given, *inline)
    if sign:
        Path(out).write_text(done.stdout)
    return done


def _trial(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one trial in this process, which has imported torch."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = trial(words)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def _shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a command by the shell, with the Python of the tests and the packages of this repository."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-ec", line],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )


def _plan(block: Block) -> None:
    """Plan the study that a block is, or that it is a part of."""
    try:
        keys = set(yaml.safe_load(block.text))
    except yaml.YAMLError as error:
        raise PageError(f"{block.where}: {error}") from error
    steps = "" if keys & {"fixed", "budget"} else "fixed: {steps: 2}\n"
    rest = {"name": "name: part\n", "grid": "" if "search" in keys else "grid: [{method: full}]\n", "fixed": steps}
    path = Path(block.file or "part.yaml")
    path.write_text(block.text + "".join(text for key, text in rest.items() if key not in keys))
    try:
        definition, source = load(str(path))
        check_search(definition, source)
        make_plan(definition, source)
    except ConfigError as error:
        raise PageError(f"{block.where}: no study, nor a part of one: {error}\n{_ADVICE}") from error
    if block.in_tests:
        _write(block, definition.canonical())


def _write(block: Block, whole: dict[str, Any]) -> None:
    """Write the file that a block is, with what tests replace."""
    if block.file:
        Path(block.file).write_text(json.dumps({**whole, **block.in_tests}, indent=1))
