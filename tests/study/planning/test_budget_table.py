"""The table of budgets: against the one that arXiv 2408.14471 published, and what it refuses."""

import json
from pathlib import Path

import open_clip
import pytest
import torch

from study.commands import app
from study.planning import budget_table
from tests.study import command
from tests.trainables.workloads.clip.families import FAMILIES, written
from trainables.workloads.clip.zoo import without_data

PUBLISHED = {
    "full": (63394.7585, 1.0, [1420, 568, 284, 142]),
    "locked_image": (27176.6698, 0.2551, [12982, 5193, 2596, 1298]),
    "lnfit": (43165.5968, 0.6558, [3179, 1272, 636, 318]),
    "lora": (54479.2515, 0.8702, [1898, 759, 380, 190]),
    "ewc": (6276081.094, 1.0132, [14, 6, 3, 1]),
    "ema": (63394.7585, 1.0, [1420, 568, 284, 142]),
}
"""GFLOPs a step, memory ratio and steps a task of 20, 50, 100 and 200 of ViT-B-16 at batch 512 for 1.8e9 GMAFs."""


@pytest.mark.parametrize("methods", [("full", "lora"), pytest.param(tuple(PUBLISHED), marks=pytest.mark.thorough)])
def test_published_table_is_met(methods: tuple[str, ...]) -> None:
    """By the paper's own accounting: FLOPs within 1.5 %, memory within 10 %, steps within what follows."""
    said = command.ok_here(
        "budget", "--accounting", "paper", "--methods", *methods, "--tasks", "20", "50", "100", "200", "--json"
    )
    rows = {row["method"]: row for row in json.loads(said)}
    assert tuple(rows) == methods
    for method in methods:
        gflops, memory, steps = PUBLISHED[method]
        row = rows[method]
        assert row["gflops_per_step"] == pytest.approx(gflops, rel=0.015)
        assert row["memory_ratio"] == pytest.approx(memory, rel=0.10)
        assert row["peak_gb"] == pytest.approx(row["memory_ratio"] * rows["full"]["peak_gb"])
        assert row["mafs"] == pytest.approx(row["gflops_per_step"] * row["memory_ratio"])
        assert list(row["steps_per_task"]) == ["20", "50", "100", "200"]
        for got, wanted in zip(row["steps_per_task"].values(), steps, strict=True):
            assert got == pytest.approx(wanted, rel=0.115, abs=1)
    assert {row["rank"] for row in rows.values()} == {None, 4}


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A config file of ViT-B-32 with two layers in each tower, for what does not depend on its depth."""
    config = open_clip.get_model_config("ViT-B-32")
    for tower in ("vision_cfg", "text_cfg"):
        config[tower]["layers"] = 2
    path = tmp_path_factory.mktemp("shallow") / "shallow.json"
    path.write_text(json.dumps(config))
    return str(path)


def test_our_adapters_make_no_dense_update(shallow: str) -> None:
    found = budget_table.rows(
        without_data(shallow),
        batch_size=64,
        total=1e9,
        tasks=[10],
        methods=["full", "lora"],
        rank=16,
        precision="bf16",
        accounting="ours",
    )
    full, lora = found
    assert lora.rank == 16
    assert lora.gflops_per_step < 0.75 * full.gflops_per_step
    head, *_, last = budget_table.table(found, "ours")
    assert head.split() == ["method", "rank", "GFLOPs/step", "(paper's)", "GB", "memory", "MAFs/step", "T=10"]
    assert last.startswith("Used: ours")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "ViT-B-17"], "model: 'ViT-B-17' is unknown to open_clip; such as ViT-B-16"),
        (
            ["--model", "RN50", "--methods", "lora", "--methods", "full"],
            "--methods: method lora: targets: the image tower has no linear layer of its own; allowed: towers: text; "
            "allowed of these: full",
        ),
        (["--model", "coca_ViT-B-32"], "it is a CoCa, half of whose loss is the captions that its decoder writes"),
        (["--model", "hf-hub:foo/bar"], "open_clip_config.json of foo/bar is not on this machine; `retune fetch"),
        (["--total", "1e40", "--methods", "full"], "buys full more steps than can be run"),
        (["--methods", "lorra"], "--methods: 'lorra' is unknown; did you mean lora? allowed: full, lnfit"),
        (["--methods", "zeroshot"], "--methods: 'zeroshot' is unknown"),
        (["--precision", "fp8"], "--precision: 'fp8' given; allowed: fp32, bf16"),
        (["--accounting", "mine"], "--accounting: 'mine' given; allowed: ours, paper"),
        (["--total", "-1"], "--total: -1 given; allowed: above 0"),
        (
            ["--total", "10", "--methods", "full"],
            "--total: 10 buys full less than one step in each of 20 tasks; one step",
        ),
        (["--methods", "lora", "--rank", "5000"], "rank: 5000 given"),
        (["--device", "cuda:99"], "--device: 'cuda:99' given; "),
        (["--device", "cpu"], "--device: 'cpu' given; "),
        (["--device", "cuda", "--accounting", "paper"], "--device: it measures our own steps"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    options: list[str], said: str, shallow: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["retune", "budget", "--model", shallow, *options])
    with pytest.raises(SystemExit) as ended:
        app.main()
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_by_default_what_a_model_cannot_have_is_left_out() -> None:
    workload = without_data("RN50")
    assert [*budget_table.possible(workload, None)] == [
        one for one in budget_table.DEFAULT if one not in ("lora", "dora", "vera")
    ]
    assert budget_table.possible(without_data("ViT-B-32"), None) == budget_table.DEFAULT


@pytest.mark.parametrize(
    ("model", "methods"),
    [
        ("resnet", ["full", "lnfit", "locked_image"]),
        ("siglip", ["full", "lora"]),
        pytest.param("RN50", ["full", "lnfit", "locked_image"], marks=pytest.mark.thorough),
        pytest.param("ViT-B-32-SigLIP2-256", ["full", "lora"], marks=pytest.mark.thorough),
    ],
)
def test_other_families_have_a_table(model: str, methods: list[str], tmp_path: Path) -> None:
    """A small member of each family, and those by name only in `make test-all`."""
    name = written(model, tmp_path).name if model in FAMILIES else model
    said = command.ok_here(
        "budget",
        "--model",
        name,
        "--batch-size",
        "8",
        "--total",
        "1e6",
        "--tasks",
        "20",
        "--methods",
        *methods,
        "--json",
    )
    rows = json.loads(said)
    assert [row["method"] for row in rows] == methods
    assert all(row["gflops_per_step"] < rows[0]["gflops_per_step"] for row in rows[1:])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="memory is measured on a CUDA device")
def test_memory_on_a_device_is_near_the_estimate() -> None:
    methods = ("full", "locked_image", "lnfit", "lora")
    estimated, measured = (
        budget_table.rows(
            without_data("ViT-B-16"),
            batch_size=256,
            total=1e9,
            tasks=[10],
            methods=methods,
            rank=None,
            precision="bf16",
            accounting="ours",
            device=device,
        )
        for device in (None, "cuda")
    )
    for one, other in zip(estimated, measured, strict=True):
        assert other.memory_ratio == pytest.approx(one.memory_ratio, rel=0.15)
        assert other.gflops_per_step == one.gflops_per_step
