"""A cache of a machine is filled once, by whoever comes first; a maker that dies leaves it to the next."""

import subprocess
import sys
import time
from pathlib import Path

from trainables.files import locked

_MAKER = """
import sys, time
from pathlib import Path
from trainables.workloads.concept_facts import kept
import numpy as np

def find():
    with (Path(sys.argv[1]) / "made").open("a") as file:
        file.write("x")
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))
    return np.arange(3)

assert kept("loss", ["of these"], Path(sys.argv[1]), find).tolist() == [0, 1, 2]
"""


def start(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", _MAKER, folder, str(seconds)], stdout=subprocess.PIPE, text=True)


def test_one_process_fills_the_cache_and_the_others_wait_for_it(tmp_path: Path) -> None:
    makers = [start(tmp_path, 1.0) for _ in range(3)]
    assert [maker.wait(timeout=60) for maker in makers] == [0] * 3
    for maker in makers:
        maker.communicate()
    assert (tmp_path / "made").read_text() == "x"
    assert [path.suffix for path in (tmp_path / "facts").iterdir()] == [".npy"]


def test_a_maker_that_is_killed_leaves_the_lock_to_the_next(tmp_path: Path) -> None:
    first = start(tmp_path, 600.0)
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    second = start(tmp_path, 0.0)
    time.sleep(0.2)
    first.kill()
    first.communicate()
    assert second.wait(timeout=60) == 0
    second.communicate()
    assert (tmp_path / "made").read_text() == "xx"


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "file"):
        assert [path.name for path in (tmp_path / "new").iterdir()] == [".file.lock"]
    assert list((tmp_path / "new").iterdir()) == []
