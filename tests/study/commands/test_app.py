"""The commands of a finished study: status, report, export; and the plan before it."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch

from study.commands import app
from study.definition.files import presets
from tests.study import command
from trainables.workloads.pocket.samples import samples
from trainables.workloads.pocket.tokenizer import tokenize
from trainables.workloads.pocket.world.datasets import DATASETS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "run"
    command.ok_here("run", command.write_study(folder.parent), "--dir", folder, "--inline")
    return folder


def test_status_of_a_finished_study(finished: Path) -> None:
    now = json.loads(command.ok_here("status", finished, "--json"))
    assert (now["trials"], now["done"], now["running"], now["waiting"], now["failed"]) == (6, 6, 0, 0, 0)
    assert now["updates_in_store"] == now["updates_unique"]
    assert now["live"] is False
    assert 0 <= now["best"]["gm"] <= 1
    assert "finished" in command.ok_here("status", finished)


def test_the_report_is_written_from_the_tables(finished: Path) -> None:
    path = Path(command.ok_here("report", finished).strip().splitlines()[-1])
    assert path == finished / "report" / "index.html"
    numbers = json.loads((finished / "report" / "report.json").read_text())
    assert numbers
    assert not re.search(r"(src|href)=[\"']https?://", path.read_text())


@pytest.mark.filterwarnings("ignore")  # of transformers and open_clip, on their way to each other
def test_open_clip_loads_an_export_and_scores_the_same(finished: Path, tmp_path: Path) -> None:
    frames = command.tables(finished)
    trial = frames["trials"].query("timeline == 'ema'")["trial"].iloc[0]
    out = tmp_path / "model"
    said = command.ok_here("export", finished, "--trial", trial[:8], "--out", out)
    assert trial in said
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{out}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{out}")
    model.eval()
    name = "handwriting"
    dataset, drawn = DATASETS[name], samples(name, "test", Path(_cache()))
    prompts = [dataset.prompt.format(concept) for concept in dataset.concepts]
    assert torch.equal(tokenizer(prompts), tokenize(prompts))
    from PIL import Image

    pictures = torch.stack([preprocess(Image.fromarray(image)) for image in drawn.images])
    with torch.inference_mode():
        images = model.encode_image(pictures, normalize=True)
        texts = model.encode_text(tokenizer(prompts), normalize=True)
    accuracy = float(((images @ texts.T).argmax(dim=1).numpy() == drawn.concept).mean())
    rows = frames["scores"].query("trial == @trial and dataset == @name and task == 3")
    assert accuracy == rows["value"].iloc[0]


def test_a_plan_runs_nothing_and_counts_what_is_shared(tmp_path: Path) -> None:
    study = command.write_study(tmp_path)
    counts = json.loads(command.ok_here("plan", study, "--dir", tmp_path / "run", "--json"))
    assert counts["trials"] == 5
    assert counts["anchors"] == 1
    assert counts["updates_total"] == 5 * 3 + 1
    # full: finetune 3, ema 2 more, zs 2 more for both w; lora 3; joint 1
    assert counts["updates_unique"] == 3 + 2 + 2 + 3 + 1
    assert counts["updates_in_store"] == 0
    assert counts["flops"] > 0
    assert counts["seconds_to_do"] > 0
    assert counts["bytes_to_do"] > 0
    assert not (tmp_path / "run").exists()


def test_another_w_trains_nothing_for_zs(finished: Path, tmp_path: Path) -> None:
    before = command.updates(finished)
    wider = command.write_study(tmp_path, command.STUDY.replace("[0.5, 0.8]", "[0.5, 0.8, 0.9]"))
    done = command.here("run", wider, "--dir", finished, "--inline")
    assert done.returncode == 0
    assert "1 of 7 trials to run (6 done), 0 updates to train" in done.stderr
    assert command.updates(finished) == before
    assert len(command.tables(finished)["trials"]) == 7


@pytest.mark.parametrize(
    ("run", "executor"), [(command.here, ["--inline"]), (command.retune, [])], ids=["inline", "ray"]
)
def test_a_trial_that_fails_is_named_and_the_others_go_on(run: Run, executor: list[str], tmp_path: Path) -> None:
    study = command.write_study(tmp_path, _DIVERGES)
    done = run("run", study, "--dir", tmp_path / "run", *executor)
    assert done.returncode == 1
    assert "lr=1e+30" in done.stderr
    assert "the loss was" in done.stderr
    assert "Traceback" not in done.stderr
    frames = command.tables(tmp_path / "run")
    assert sorted(frames["trials"]["status"]) == ["done", "failed"]
    now = json.loads(command.ok_here("status", tmp_path / "run", "--json"))
    assert now["failed"] == 1
    assert len(now["errors"]) == 1


_DIVERGES = """
name: diverges
workload: {name: noop}
fixed: {tasks: 1, steps: 6, batch_size: 16}
grid: [{lr: [1e-3, 1e30]}]
joint: null
"""


@pytest.mark.parametrize("name", app.COMMANDS)
def test_a_command_is_in_the_file_of_its_name(name: str) -> None:
    function = app.COMMANDS[name].function
    assert (function.__module__, function.__name__) == (f"study.commands.{name}", name)


def test_help_teaches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said = {}
    for verb in ("", "plan", "run", "status", "report", "export"):
        monkeypatch.setattr("sys.argv", ["retune", *([verb] if verb else []), "--help"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        assert ended.value.code == 0
        said[verb] = capsys.readouterr().out
    assert all(verb in said[""] for verb in said)
    assert all(preset in said["run"] for preset in presets())


def _cache() -> str:
    import os

    return os.environ["RETUNE_CACHE"]
