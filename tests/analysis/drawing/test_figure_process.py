"""The process that draws figures: files as if drawn here, errors that come back, and no process left over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from analysis.drawing.figure_process import FigureProcess
from analysis.drawing.figures import write_figure
from analysis.drawing.looks import look_of
from analysis.drawing.marks import Plane
from analysis.drawing.views import plane_of
from analysis.frontier import Frontier


@pytest.fixture(scope="module")
def plane(study: Frontier) -> Plane:
    return plane_of(study, look_of(study))


_OTHERS = set(psutil.Process().children())


@pytest.fixture(autouse=True)
def _others() -> None:
    """Processes of this one that are no drawing, such as a server that tests share."""
    _OTHERS.update(psutil.Process().children())


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child not in _OTHERS]


def test_files_are_those_that_would_be_drawn_here(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no process can be started, and where paths are relative."""
    monkeypatch.chdir(tmp_path)
    for place in ("here", "there", "without"):
        (tmp_path / place).mkdir()
    write_figure(tmp_path / "here" / "plane", plane)
    with FigureProcess() as figures:
        figures.draw(Path("there/plane"), plane)
        assert len(children()) == 1
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with FigureProcess() as figures:
        figures.draw(Path("without/plane"), plane)
    assert not children()
    for kind in ("png", "svg", "pdf"):
        drawn = {place: (tmp_path / place / f"plane.{kind}").read_bytes() for place in ("here", "there", "without")}
        assert drawn["here"] == drawn["there"] == drawn["without"]


def test_errors_of_the_drawing_are_raised_as_they_are(plane: Plane, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, FigureProcess() as figures:
        figures.draw(tmp_path / "nowhere" / "plane", plane)
    assert str(raised.value.filename).startswith(str(tmp_path / "nowhere"))
    assert not children()


def test_a_killed_process_is_told(plane: Plane, tmp_path: Path) -> None:
    def report() -> None:
        with FigureProcess() as figures:
            os.kill(children()[0].pid, signal.SIGKILL)
            for _ in range(100):  # more than fits into the pipe
                figures.draw(tmp_path / "plane", plane)

    with pytest.raises(ChildProcessError, match="was ended by SIGKILL; run the report again"):
        report()
    assert not children()


def test_an_error_of_the_report_ends_the_process(plane: Plane, tmp_path: Path) -> None:
    def report() -> None:
        with FigureProcess() as figures:
            figures.draw(tmp_path / "plane", plane)
            raise ValueError("of the report")

    with pytest.raises(ValueError, match="of the report"):
        report()
    assert not children()


def test_the_process_ends_with_its_parent() -> None:
    code = (
        "import psutil, time\n"
        "from analysis.drawing.figure_process import FigureProcess\n"
        "with FigureProcess():\n"
        "    print(psutil.Process().children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        drawing = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    drawing.wait(timeout=180)
