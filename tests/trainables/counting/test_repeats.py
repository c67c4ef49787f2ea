"""Equal blocks that are left out of a count: the same FLOPs and the same peak memory as of the whole model."""

from pathlib import Path

import pytest
import torch

from tests.trainables.workloads.clip import families
from trainables.config import Precision
from trainables.counting.passes import estimated_peak, flops_of_passes, without_values
from trainables.counting.steps import step_cost
from trainables.memory.recompute import recompute
from trainables.methods.method import named
from trainables.workloads.clip.zoo import without_data


@pytest.mark.parametrize(
    ("model", "method", "precision"),
    [
        ("ViT-B-32", "full", "bf16"),
        *(
            pytest.param(model, method, precision, marks=pytest.mark.thorough)
            for model, method, precision in (
                ("ViT-B-32", "lora", "fp32"),
                *(
                    ("ViT-B-16", method, "bf16")
                    for method in ("locked_image", "locked_text", "lnfit", "dora", "loha", "oft", "freeze_first_layers")
                ),
                ("ViT-L-14", "full", "bf16"),
                ("RN50", "full", "bf16"),
                ("convnext_base", "full", "bf16"),
                ("MobileCLIP-S1", "full", "bf16"),
                ("ViTamin-B", "full", "bf16"),
                ("EVA02-B-16", "locked_image", "bf16"),
                ("ViT-B-16-SigLIP", "lora", "bf16"),
            )
        ),
    ],
)
def test_counts_are_those_of_all_blocks(
    model: str, method: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, whole = without_data(model), without_data(model)
    monkeypatch.setattr(whole, "blocks", lambda _: ())
    assert step_cost(named(method), short, 32, precision=precision) == step_cost(
        named(method), whole, 32, precision=precision
    )


@pytest.mark.parametrize(
    ("family", "layers", "precision"),
    [
        ("roberta", "num_hidden_layers", "bf16"),
        pytest.param("roberta", "num_hidden_layers", "fp32", marks=pytest.mark.thorough),
        pytest.param("mt5", "num_layers", "bf16", marks=pytest.mark.thorough),
    ],
)
def test_so_are_those_of_towers_of_transformers_computed_again_or_not(
    family: str, layers: str, precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = families.FAMILIES[family]
    assert shallow.hf is not None
    monkeypatch.setitem(families.FAMILIES, "deep", shallow._replace(hf={**shallow.hf, layers: 6}))
    own = families.workload.__wrapped__("deep", tmp_path)

    def counted(*, again: bool, leave_out: bool) -> tuple[int, int]:
        with torch.device("meta"):
            model = own.architecture()
        blocks = own.blocks(model)
        if again:
            recompute(blocks)
        monkeypatch.setattr(own, "blocks", lambda _: blocks if leave_out else ())
        flops = flops_of_passes(model, own, 8)
        with without_values(model, own, 8) as batch:
            peak = estimated_peak(model, batch, own, precision)
        monkeypatch.undo()
        return flops, peak

    for again in (False, True):
        assert counted(again=again, leave_out=True) == counted(again=again, leave_out=False)


def test_the_model_is_whole_again_afterwards() -> None:
    own = without_data("ViT-B-32")
    with torch.device("meta"):
        model = own.architecture()
    blocks = own.blocks(model)

    def inside() -> list[tuple[bool, int, int]]:
        return [("forward" in vars(one), len(one._forward_pre_hooks), len(one._forward_hooks)) for one in blocks]

    before = inside()
    assert flops_of_passes(model, own, 2) == flops_of_passes(model, own, 2)
    assert inside() == before
