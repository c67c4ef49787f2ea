"""`retune merge`: rules by name, weights of the old, clear errors with status 2, a record."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from study.commands import app

Run = tuple[int, str, str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in (("base", 0.0), ("old", 1.0), ("new", 3.0)):
        save_file({"w": torch.full((4,), value)}, f"{name}.safetensors")
    save_file({"w": torch.ones(5)}, "wrong.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    return tmp_path


def merge(text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("sys.argv", ["retune", "merge", *text.split()])
    threads = torch.get_num_threads()
    with pytest.raises(SystemExit) as ended:
        app.main()
    torch.set_num_threads(threads)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--rule lerp --w 0.9 old.safetensors new.safetensors", 1.2),
        ("--w 1 old.safetensors new.safetensors", 1.0),
        ("--rule average old.safetensors new.safetensors base.safetensors", 4 / 3),
        ("--rule average --weights 1,1,2 old.safetensors new.safetensors base.safetensors", 1.0),
        ("--rule task_arithmetic --scale 0.4 --base base.safetensors old.safetensors new.safetensors", 1.6),
        ("--rule ties --density 1 --base base.safetensors old.safetensors new.safetensors", 2.0),
        # The instruction residual of arXiv 2410.10739: moved + (instruct - base).
        ("--rule task_arithmetic --base old.safetensors new.safetensors base.safetensors", 2.0),
    ],
)
def test_rules(
    options: str,
    expected: float,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, err = merge(f"{options} --out o.safetensors", capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert "o.safetensors" in out
    torch.testing.assert_close(load_file("o.safetensors")["w"], torch.full((4,), expected))
    assert json.loads((folder / "o.safetensors.json").read_text())["inputs"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("old.safetensors new.safetensors", "--w: missing; the weight of the OLD file"),
        ("--rule slerp old.safetensors new.safetensors", "--w: missing; the weight of the OLD file"),
        ("--weights nan,1 old.safetensors new.safetensors", "none below 0"),
        ("--w 0.5 --fisher base.safetensors old.safetensors new.safetensors", "--fisher: the rule lerp uses no Fisher"),
        (
            "--rule tall_masks --agree 3 --base base.safetensors old.safetensors new.safetensors",
            "--agree: 3 given; there",
        ),
        ("--w 2 old.safetensors new.safetensors", "--w: 2 given; allowed: 0 to 1"),
        ("--w 0.5 old.safetensors new.safetensors base.safetensors", "--w: weighs the old of two files; there are 3"),
        ("--w 0.5 --weights 1,2 old.safetensors new.safetensors", "--w and --weights say the same"),
        ("--weights a,b old.safetensors new.safetensors", "--weights: 'a,b' given; numbers such as 1,1,2"),
        ("--weights 1 old.safetensors new.safetensors", "one each"),
        ("--rule tie old.safetensors new.safetensors", "--rule: 'tie' given; did you mean ties? allowed: 'lerp'"),
        ("--rule ties old.safetensors new.safetensors", "needs a base"),
        ("--rule ties --w 0.5 --base base.safetensors old.safetensors new.safetensors", "the rule ties has no weights"),
        ("--rule ties --density 2 --base base.safetensors old.safetensors", "--density: 2.0 given"),
        ("--w 0.5 --density 0.2 old.safetensors new.safetensors", "--density: the rule lerp has none"),
        ("--rule slerp old.safetensors new.safetensors base.safetensors", "slerp merges 2, not 3"),
        ("--rule fisher old.safetensors new.safetensors", "Fisher matrices of every input"),
        ("--w 0.5 --integers newest old.safetensors new.safetensors", "--integers: 'newest' given; allowed: latest"),
        ("--w 0.5 old.safetensors wrong.safetensors", "shapes: w (4,) / (5,)"),
        ("--w 0.5 old.safetensors text.safetensors", "text.safetensors: no safetensors file"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    options: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = merge(f"{options} --out o.safetensors", capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("retune: merge: ")
    assert "Traceback" not in err
    assert not (folder / "o.safetensors").exists()


def test_output_is_not_overwritten_unasked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "o.safetensors").write_text("mine")
    options = "--w 0.5 old.safetensors new.safetensors --out o.safetensors"
    code, _, err = merge(options, capsys, monkeypatch)
    assert (code, (folder / "o.safetensors").read_text()) == (2, "mine")
    assert "--overwrite" in err
    code, out, _ = merge(f"{options} --overwrite --json", capsys, monkeypatch)
    assert code == 0
    assert json.loads(out)["weights"] == [0.5, 0.5]
    (folder / "p.safetensors.json").write_text("mine")
    code, _, err = merge("--w 0.5 old.safetensors new.safetensors --out p.safetensors", capsys, monkeypatch)
    assert (code, (folder / "p.safetensors.json").read_text()) == (2, "mine")
    for other, said in (("o.pt", "written as .safetensors"), ("no/o.safetensors", "no folder no")):
        code, _, err = merge(f"--w 0.5 old.safetensors new.safetensors --out {other}", capsys, monkeypatch)
        assert code == 2
        assert said in err


def test_sparse_rules_say_what_share_stays(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All entries have moved alike, so all stay where a third is asked for."""
    options = "--rule ties --density 0.3 --base base.safetensors old.safetensors new.safetensors --out o.safetensors"
    code, out, _ = merge(options, capsys, monkeypatch)
    assert code == 0
    assert "entries that stay of each file's difference from the base: 100 %, 100 %" in out
    assert torch.equal(load_file(folder / "o.safetensors")["w"], torch.full((4,), 2.0))
