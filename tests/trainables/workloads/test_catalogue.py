"""The catalogue: a workload that no other code knows goes through all commands by its row alone."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from study.definition.files import read
from study.definition.study import StudyDefinition
from tests.study import quick
from tests.trainables.workloads import tokens
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.workloads.catalogue import WORKLOADS
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.workload import to_device

STUDY = """
name: text
workload: {name: tokens, length: 5}
fixed: {tasks: 2, steps: 6, batch_size: 12, lr: 0.05, pool_share: 0.25, new_share: 0.5, buffer_share: 0.25}
grid: [{method: [full, freeze_first_layers], timeline: [finetune, ema], w: 0.5}]
joint: {lr: 0.05}
"""


@pytest.fixture(scope="module", autouse=True)
def _row() -> Iterator[None]:
    """The row in the catalogue, and the models made again that take what it lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORKLOADS, "tokens", tokens.ROW)
        _rebuild()
        yield
    _rebuild()


def _rebuild() -> None:
    for model in (TrialConfig, StudyDefinition):
        model.model_rebuild(force=True)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "text.jsonl").touch()
    return quick.write(tmp_path, STUDY)


def test_every_command_works_by_the_row_alone(study: Path) -> None:
    run, out = study.parent / "run", study.parent / "out"
    for arguments, said in (
        (("fetch", study), "rows of 5 tokens\n"),
        (("plan", study, "--dir", run), "4 = 4 configs x 1 blocks, 2 tasks each; 1 anchors"),
        (("run", study, "--dir", run, "--inline"), "5 of 5"),
        (("report", run), "index.html"),
    ):
        status, printed, err = quick.retune(*arguments)
        assert status == 0, err
        assert said in printed + err, printed + err
    trials = pd.read_parquet(run / "tables" / "trials.parquet")
    tasks = pd.read_parquet(run / "tables" / "tasks.parquet")
    assert set(pd.read_parquet(run / "tables" / "scores.parquet")["metric"]) == {"next_token_accuracy"}
    assert tasks.loc[tasks["task"] == 2, "aka"].max() > tasks.loc[tasks["task"] == 0, "aka"].max()
    assert set(trials["method"]) == {"full", "freeze_first_layers", "joint"}
    trial = trials["trial"][0]
    status, _, err = quick.retune("export", run, "--trial", trial, "--out", out)
    assert status == 0, err
    assert "note: it is for open_clip" in err
    card = (out / "README.md").read_text()
    assert card.startswith("# The model of the workload tokens, updated\n")
    assert '```python\ntorch.load("FOLDER/tokens.pt")\n```' in card
    assert torch.load(out / "tokens.pt").keys() == {"words.weight", "inner.weight", "head.weight"}


def test_what_a_study_names_is_checked_by_the_row(study: Path) -> None:
    assert read(study).workload.files() == (str(study.parent / "text.jsonl"),)
    (study.parent / "text.jsonl").unlink()
    status, _, err = quick.retune("run", study, "--dir", study.parent / "run", "--inline")
    assert (status, err) == (2, f"retune: {study.parent / 'text.jsonl'}: is not there; bring it back\n")
    study.write_text(STUDY.replace("name: tokens", "name: token"))
    with pytest.raises(ConfigError, match=r"workload.name: 'token' is unknown; did you mean tokens\? allowed: .*noop"):
        read(study)
    study.write_text(STUDY.replace("length: 5", "length: 2, crop: 1"))
    with pytest.raises(ConfigError) as refused:
        read(study)
    assert [line.partition(": ")[2] for line in str(refused.value).splitlines()] == [
        "workload.length: 2 given; allowed: greater than or equal to 3",
        "workload.crop: unknown key; allowed here: corpus, length, name",
    ]


def test_a_batch_is_any_tree_of_tensors() -> None:
    tree = {"ids": torch.arange(3)}, [ClipBatch(*torch.zeros(3, 2, dtype=torch.uint8))]
    (ids,), (clip,) = to_device(tree, "meta")[0].values(), to_device(tree, "meta")[1]
    assert isinstance(clip, ClipBatch)
    assert {one.device.type for one in (ids, *clip)} == {"meta"}
    assert tree[0]["ids"].device.type == "cpu"
