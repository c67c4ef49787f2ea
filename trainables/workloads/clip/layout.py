"""The anatomy of open_clip's plain `CLIP`, from the names and shapes of its state dict, without torch.

`visual.*` is the image tower, `logit_scale` and `logit_bias` belong to none, and all other names are of the text tower.
Only transformers with open_clip's default block are known; a name of any other kind is refused rather than guessed.
`towers` finds the same for any model, from its modules.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from trainables.workloads.anatomy import Anatomy, Parameter, Part, Projection, Target

_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_IN_BLOCK: tuple[tuple[str, Part], ...] = (
    (r"ln_[12]\.(weight|bias)", "norm"),
    (r"attn\.(in_proj_|out_proj\.)(weight|bias)", "attention"),
    (r"mlp\.c_(fc|proj)\.(weight|bias)", "mlp"),
)
_OUTSIDE: Mapping[str | None, tuple[tuple[str, Part], ...]] = {
    "image": (
        (r"conv1\.weight|class_embedding|positional_embedding", "embedding"),
        (r"ln_(pre|post)\.(weight|bias)", "norm"),
        (r"proj", "head"),
    ),
    "text": (
        (r"token_embedding\.weight|positional_embedding", "embedding"),
        (r"ln_final\.(weight|bias)", "norm"),
        (r"text_projection(\.weight|\.bias)?", "head"),
    ),
    None: ((r"logit_scale|logit_bias", "scale"),),
}
_FUSED: tuple[tuple[str, Target], ...] = (("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"))
_PLAIN: Mapping[str, Target] = {"attn.out_proj": "out", "mlp.c_fc": "mlp_in", "mlp.c_proj": "mlp_out"}


def describe(shapes: Mapping[str, tuple[int, ...]]) -> Anatomy:
    """The anatomy of a model by the shapes of its state dict; their order does not matter.

    Raises:
        ValueError: a name has no known place.
    """
    parameters = [_place(name, tuple(shape)) for name, shape in shapes.items()]
    return in_order(parameters, [projection for each in parameters for projection in _projections(each)])


def in_order(parameters: Sequence[Parameter], projections: Sequence[Projection]) -> Anatomy:
    """An anatomy in an order that depends on names alone: by tower, layer and parameter; q, k, v as they are given."""
    placed = sorted(parameters, key=_order)
    rank = {parameter.name: i for i, parameter in enumerate(placed)}
    return Anatomy(
        parameters=tuple(placed), projections=tuple(sorted(projections, key=lambda each: rank[each.parameter]))
    )


def _place(name: str, shape: tuple[int, ...]) -> Parameter:
    tower: str | None = "text"
    local, layer, rules = name, None, None
    if name.startswith("visual."):
        tower, local = "image", name.removeprefix("visual.")
    elif name in {"logit_scale", "logit_bias"}:
        tower = None
    if block := _BLOCK.fullmatch(local):
        layer, local, rules = int(block[1]), block[2], _IN_BLOCK
    for pattern, part in rules or _OUTSIDE[tower]:
        if re.fullmatch(pattern, local):
            return Parameter(name=name, shape=shape, tower=tower, layer=layer, part=part, bias="bias" in name)
    raise ValueError(
        f"cannot place the weight {name!r}; known are the weights of open_clip's CLIP with two transformers of default "
        "blocks, such as ViT-B-32: choose a model of that kind"
    )


def _order(parameter: Parameter) -> tuple[str, int, str]:
    layer = -1 if parameter.layer is None else parameter.layer
    return parameter.tower or "", layer, parameter.name


def _projections(parameter: Parameter) -> Iterator[Projection]:
    """The linear layers of the split model whose weight a parameter holds."""
    if parameter.tower is None or parameter.layer is None or parameter.part == "norm" or parameter.bias:
        return
    outputs, inputs = parameter.shape
    module, _, leaf = parameter.name.rpartition(".")
    targets: list[tuple[str, Target]]
    if leaf == "in_proj_weight":
        outputs //= len(_FUSED)
        targets = [(f"{module}.{name}", target) for name, target in _FUSED]
    else:
        targets = [(module, _PLAIN[".".join(module.split(".")[-2:])])]
    for name, target in targets:
        yield Projection(
            name=name,
            parameter=parameter.name,
            tower=parameter.tower,
            layer=parameter.layer,
            target=target,
            inputs=inputs,
            outputs=outputs,
        )
