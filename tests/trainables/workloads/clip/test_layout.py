"""The layout of CLIP models: everything is declared once, with the place and the sizes that open_clip gives it."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch import nn

from tests.trainables import toys
from trainables.workloads.anatomy import Anatomy, Parameter
from trainables.workloads.catalogue import identify
from trainables.workloads.clip import attention
from trainables.workloads.clip.layout import describe
from trainables.workloads.pocket.model import build
from trainables.workloads.pocket.settings import Pocket


class Case(NamedTuple):
    model: Callable[[], CLIP]
    depth: tuple[int, int]
    """Blocks of the image tower and of the text tower."""


def vit_b_32() -> CLIP:
    with torch.device("meta"):
        return CLIP(**open_clip.get_model_config("ViT-B-32"))


CASES = {
    "pocket": Case(lambda: build(0), (3, 2)),
    "toy": Case(toys.architecture, (2, 2)),
    "ViT-B-32": Case(vit_b_32, (12, 12)),
}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
class TestDescribe:
    def test_every_weight_is_declared_once_with_its_shape(self, case: Case) -> None:
        declared = describe(shapes(case.model())).parameters
        assert len({each.name for each in declared}) == len(declared)
        assert {each.name: each.shape for each in declared} == shapes(case.model())

    def test_every_projection_is_a_linear_layer_of_the_split_model(self, case: Case) -> None:
        model = case.model()
        anatomy = describe(shapes(model))
        with torch.device(model.logit_scale.device):
            split = attention.split(model)
        layers = {name: each for name, each in split.named_modules() if isinstance(each, nn.Linear)}
        declared = {each.name: (each.inputs, each.outputs) for each in anatomy.projections}
        assert len(declared) == len(anatomy.projections)
        assert declared == {name: (each.in_features, each.out_features) for name, each in layers.items()}

    def test_projections_name_the_weight_that_holds_them(self, case: Case) -> None:
        anatomy = describe(shapes(case.model()))
        by_name = {each.name: each for each in anatomy.parameters}
        held = Counter(each.parameter for each in anatomy.projections)
        assert set(held.values()) == {1, 3}
        for each in anatomy.projections:
            weight = by_name[each.parameter]
            assert (weight.tower, weight.layer) == (each.tower, each.layer)
            assert weight.shape == (held[each.parameter] * each.outputs, each.inputs)
            assert weight.part == ("mlp" if each.target.startswith("mlp") else "attention")

    def test_every_block_has_all_six_targets(self, case: Case) -> None:
        anatomy = describe(shapes(case.model()))
        assert anatomy.towers == ("image", "text")
        assert (anatomy.depth("image"), anatomy.depth("text")) == case.depth
        declared = Counter((each.tower, each.layer, each.target) for each in anatomy.projections)
        targets = ("q", "k", "v", "out", "mlp_in", "mlp_out")
        blocks = [(tower, i) for tower, depth in zip(anatomy.towers, case.depth, strict=True) for i in range(depth)]
        assert declared == Counter((*block, target) for block in blocks for target in targets)

    def test_order_of_the_names_does_not_matter(self, case: Case) -> None:
        given = shapes(case.model())
        assert describe(dict(reversed(given.items()))) == describe(given)


def placed(anatomy: Anatomy) -> dict[str, Parameter]:
    return {each.name: each for each in anatomy.parameters}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("visual.conv1.weight", ("image", None, "embedding", False)),
        ("visual.class_embedding", ("image", None, "embedding", False)),
        ("visual.positional_embedding", ("image", None, "embedding", False)),
        ("visual.ln_pre.bias", ("image", None, "norm", True)),
        ("visual.transformer.resblocks.1.ln_2.weight", ("image", 1, "norm", False)),
        ("visual.transformer.resblocks.1.attn.in_proj_bias", ("image", 1, "attention", True)),
        ("visual.transformer.resblocks.0.mlp.c_fc.bias", ("image", 0, "mlp", True)),
        ("visual.proj", ("image", None, "head", False)),
        ("token_embedding.weight", ("text", None, "embedding", False)),
        ("positional_embedding", ("text", None, "embedding", False)),
        ("transformer.resblocks.0.attn.out_proj.weight", ("text", 0, "attention", False)),
        ("ln_final.weight", ("text", None, "norm", False)),
        ("text_projection", ("text", None, "head", False)),
        ("logit_scale", (None, None, "scale", False)),
    ],
)
def test_place(name: str, place: tuple[str | None, int | None, str, bool]) -> None:
    each = placed(toys.IDENTITY.anatomy)[name]
    assert (each.tower, each.layer, each.part, each.bias) == place


def test_biases_are_all_names_with_bias() -> None:
    for each in toys.IDENTITY.anatomy.parameters:
        assert each.bias == ("bias" in each.name)


def test_bias_of_the_logits_and_of_the_text_projection_have_a_place() -> None:
    extra = placed(describe({"logit_bias": (), "text_projection.weight": (3, 2), "text_projection.bias": (3,)}))
    assert (extra["logit_bias"].tower, extra["logit_bias"].part) == (None, "scale")
    assert {extra[f"text_projection.{leaf}"].part for leaf in ("weight", "bias")} == {"head"}


@pytest.mark.parametrize(
    "name", ["visual.layer1.0.conv1.weight", "text.transformer.resblocks.0.ln_1.weight", "visual.logit_scale"]
)
def test_name_without_a_place_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot place the weight '{name}'.*ViT-B-32"):
        describe({name: (3,)})


def test_pocket_declares_its_own_model() -> None:
    assert identify(Pocket(pool=512)).anatomy == describe(shapes(build(0)))


def test_identifying_a_workload_loads_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from trainables.workloads.pocket.settings import Pocket; from trainables.workloads.catalogue import identify\n"
        "assert identify(Pocket()).anatomy.depth('image') == 3"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[4], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
