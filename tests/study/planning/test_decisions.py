"""Decisions on the disk: they come back, and a line that a crash cut short costs itself alone."""

from pathlib import Path

import pytest

from study.planning.decisions import DecisionFile, Decisions, Suggestion
from trainables.store.store import StoreError

FIRST = Suggestion(values={"lr": 1e-3, "arguments": {"r": 2}, "w": None}, config="a", generation=3)
SECOND = Suggestion(values={"method": "lora"}, config="b", refused={"cost_mafs": 0.5}, known=True)


def written(path: Path) -> DecisionFile:
    file = DecisionFile(path)
    file.suggest(FIRST)
    file.suggest(SECOND)
    file.run_on({"a": 2, "b": 3})
    file.stop("t", 4, "why")
    file.close("request", "why")
    file.end("request", "reason")
    return file


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    assert DecisionFile(tmp_path / "d").read() == Decisions()
    assert written(tmp_path / "d").read() == Decisions(
        suggested=(FIRST, SECOND),
        blocks={"a": 2, "b": 3},
        stopped={"t": 4},
        closed={"request": "why"},
        ended={"request": "reason"},
    )


def test_a_search_that_goes_on_has_neither_closed_nor_ended(tmp_path: Path) -> None:
    file = written(tmp_path / "d")
    file.end("another", "reason")
    file.reopen("request")
    assert file.read().closed == {}
    assert file.read().ended == {"another": "reason"}


def test_any_cut_leaves_whole_decisions_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "d"
    written(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        before = DecisionFile(path).read()
        DecisionFile(path).stop("new", 1, "")
        after = DecisionFile(path).read()
        assert after.suggested == before.suggested == (FIRST, SECOND)[: len(before.suggested)]
        assert after.stopped == {**before.stopped, "new": 1}


@pytest.mark.parametrize("flip", range(0, 200, 9))
def test_a_flipped_bit_breaks_no_reader(tmp_path: Path, flip: int) -> None:
    path = tmp_path / "d"
    written(path)
    content = bytearray(path.read_bytes())
    content[flip] ^= 4
    path.write_bytes(content)
    assert len(DecisionFile(path).read().suggested) >= 1 or flip < 120


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is lost"):
        DecisionFile(tmp_path / "absent" / "d").stop("t", 1, "")
