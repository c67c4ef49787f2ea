"""Another release of retune in a process of its own: this source with another version and one more config field."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from trainables.nodes import NUMERICS_VERSION

VERSION = NUMERICS_VERSION + 1
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("analysis", "search_spaces", "study", "trainables")
_SERVE = """
import json, sys
from tests.study import command
out = sys.stdout
for line in sys.stdin:
    done = command.here(*json.loads(line))
    print(json.dumps([done.returncode, done.stdout, done.stderr]), file=out, flush=True)
"""


class Done(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


class Release:
    """Runs commands under the other release."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def retune(self, *arguments: str | Path) -> Done:
        """Run a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(one) for one in arguments]) + "\n")
        self._process.stdin.flush()
        return Done(*json.loads(self._process.stdout.readline()))

    def ok(self, *arguments: str | Path) -> Done:
        """Run a command that has to succeed."""
        done = self.retune(*arguments)
        assert done.status == 0, done.err + done.out
        return done


@contextmanager
def another_release(folder: Path, version: int) -> Iterator[Release]:
    """The release of a version of the numerics, whose source is written into a folder."""
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    # `command` and whatever it imports.
    for path in (_ROOT / "tests" / "__init__.py", *(_ROOT / "tests" / "study").glob("*.py")):
        made = folder / path.relative_to(_ROOT)
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, made)
    _edit(folder, r"^NUMERICS_VERSION = \d+$", f"NUMERICS_VERSION = {version}")
    _edit(folder, r"^class Recipe\(Frozen\):\n", r'\g<0>    later = frozenset({"crops"})\n    crops: str = "none"\n')
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{_SERVE}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    with process:
        yield Release(process)
        assert process.stdin is not None
        process.stdin.close()


def _edit(folder: Path, pattern: str, by: str) -> None:
    """Edit the one place in the source of trials that is meant."""
    edited = 0
    for path in (folder / "trainables").rglob("*.py"):
        text, count = re.subn(pattern, by, path.read_text(), flags=re.MULTILINE)
        edited += count
        path.write_text(text)
    assert edited == 1, pattern
