"""The anatomy of any two-tower model of open_clip, from its modules.

A tensor's tower follows from its place in open_clip's model, its layer from the list of blocks that it lies in, and its
part from the module that holds it:

* norms are modules called so, with their running statistics; embeddings are tables, positions and class tokens;
* inside the blocks, parts of an attention are attention, and all else (MLPs, convolutions) counts as mlp;
* before the blocks all is embedding (patches, stems), and after the blocks all is head (poolers, projections).

Where blocks lie in stages (ResNet, ConvNeXt, Swin, FastViT), a layer is a stage. `layout` finds the same for
open_clip's own transformers without torch.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from trainables.workloads.anatomy import Anatomy, Parameter, Part, Projection, Target
from trainables.workloads.clip import attention
from trainables.workloads.clip.layout import in_order

_BLOCKS = re.compile(r"resblocks|blocks|block|layers|layer|stages")
_NUMBERED_STAGE = re.compile(r"layer\d+")
_SCALES = ("logit_scale", "logit_bias")
_NORM = re.compile(r"norm", re.IGNORECASE)
_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
_BLOCK = re.compile(r"block|stage", re.IGNORECASE)  # classes such as AttentionBlock hold an MLP as well
_TABLE = re.compile(r"pos_embed|position|(cls|reg|dist|class)_(token|emb)|rel_pos")
_SCALE_OF_ATTENTION = re.compile(r"(^|\.)(ls|gamma|layer_scale)_?1(\.|$)")
_HEADS = ("proj", "text_projection")
_TARGETS: Mapping[Part, tuple[tuple[str, Target], ...]] = {
    "attention": (
        (r"q_proj|query|q", "q"),
        (r"k_proj|key|k", "k"),
        (r"v_proj|value|v", "v"),
        (r"out_proj|c_proj|proj|o|output\.dense", "out"),
    ),
    "mlp": (
        (r"c_fc|fc1|fc1_g|fc1_x|w0|w1|wi|wi_0|wi_1|intermediate\.dense", "mlp_in"),
        (r"c_proj|fc2|w2|wo|output\.dense", "mlp_out"),
    ),
}


def describe(model: nn.Module) -> Anatomy:
    """The anatomy of a model, which may be on the meta device.

    Raises:
        ValueError: a tower has no blocks that are known.
    """
    modules = dict(model.named_modules())
    towers = _towers(modules)
    trained = {name for name, one in model.named_parameters(remove_duplicate=False) if one.requires_grad}
    parameters: list[Parameter] = []
    projections: list[Projection] = []
    for name, tensor in model.state_dict().items():
        holder = name.rpartition(".")[0]
        if name in _SCALES:
            parameter = _parameter(name, tensor, tower=None, layer=None, part="scale", fixed=name not in trained)
        else:
            tower = towers["image" if _is_image(name) else "text"]
            layer = tower.layer(name)
            part = tower.part(name, modules[holder])
            parameter = _parameter(name, tensor, tower=tower.name, layer=layer, part=part, fixed=name not in trained)
        parameters.append(parameter)
        projections.extend(_projections(parameter, modules, tower.blocks if parameter.tower else ()))
    return in_order(parameters, projections)


def blocks(model: nn.Module) -> tuple[nn.Module, ...]:
    """The blocks of both towers, those of an image tower's stages one by one."""
    modules = dict(model.named_modules())
    lists = [modules[path] for tower in _towers(modules).values() for path in tower.blocks]
    return tuple(block for one in lists for layer in one.children() for block in _blocks_of(layer))


def _blocks_of(layer: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a stage, or a block itself."""
    inner = dict(layer.named_children()).get("blocks")
    if isinstance(inner, nn.ModuleList | nn.Sequential):
        yield from inner.children()
    else:
        yield layer


def _towers(modules: Mapping[str, nn.Module]) -> dict[str, "_Tower"]:
    text = "text." if isinstance(modules.get("text"), nn.Module) else ""
    images = {name: one for name, one in modules.items() if _is_image(name)}
    texts = {name: one for name, one in modules.items() if not _is_image(name) and f"{name}.".startswith(text)}
    return {"image": _Tower.of("image", images), "text": _Tower.of("text", texts)}


class _Tower(NamedTuple):
    """A tower by the names of its modules, in the order in which they were registered, and its lists of blocks."""

    name: str
    modules: Mapping[str, nn.Module]
    order: Mapping[str, int]
    blocks: tuple[str, ...]

    @classmethod
    def of(cls, name: str, modules: Mapping[str, nn.Module]) -> "_Tower":
        lists = [
            path
            for path, one in modules.items()
            if isinstance(one, nn.ModuleList | nn.Sequential) and len(one) and _is_blocks(path.rpartition(".")[2])
        ]
        depth = min((path.count(".") for path in lists), default=0)
        outermost = tuple(path for path in lists if path.count(".") == depth)
        if not outermost or (len(outermost) > 1 and not all(_NUMBERED_STAGE.search(path) for path in outermost)):
            kinds = [type(one).__name__ for path, one in modules.items() if path.count(".") <= 1][:3]
            raise ValueError(
                f"its {name} tower ({', '.join(kinds)}) has no list of blocks or stages that is known, so no layers "
                "can be told apart"
            )
        return cls(name, modules, {path: i for i, path in enumerate(modules)}, outermost)

    def layer(self, name: str) -> int | None:
        """The block or the stage of a tensor."""
        for i, path in enumerate(self.blocks):
            if name.startswith(f"{path}."):
                return i if len(self.blocks) > 1 or _NUMBERED_STAGE.search(path) else _index(name, path)
        return None

    def part(self, name: str, holder: nn.Module) -> Part:
        """The part that a tensor plays in its tower."""
        path, _, leaf = name.rpartition(".")
        if _is_norm(holder):
            return "norm"
        if isinstance(holder, nn.Embedding) or _TABLE.search(leaf):
            return "embedding"
        inside = next((blocks for blocks in self.blocks if name.startswith(f"{blocks}.")), None)
        if inside is not None:
            local = name.removeprefix(f"{inside}.")
            of_attention = _SCALE_OF_ATTENTION.search(local) or any(map(_is_attention, self._around(path, inside)))
            return "attention" if of_attention else "mlp"
        if leaf in _HEADS:
            return "head"
        first = self.blocks[0]
        before = first.startswith(f"{path}.") or path == "" or self.order[path] < self.order[first]
        return "embedding" if before else "head"

    def _around(self, path: str, inside: str) -> Iterator[nn.Module]:
        """The modules that hold a path, from the innermost to below the list of blocks."""
        while path != inside:
            yield self.modules[path]
            path = path.rpartition(".")[0]


def _projections(
    parameter: Parameter, modules: Mapping[str, nn.Module], blocks: tuple[str, ...]
) -> Iterator[Projection]:
    """The linear layers of the split model whose weight a parameter holds."""
    if parameter.tower is None or parameter.layer is None or len(parameter.shape) != 2:
        return
    path, _, leaf = parameter.name.rpartition(".")
    outputs, inputs = parameter.shape
    targets: list[tuple[str, Target]] = []
    if fused := attention.fused_in(modules, parameter.name):
        outputs //= len(fused)
        targets = list(zip(fused, ("q", "k", "v"), strict=True))
    elif (leaf == "weight" and type(modules[path]) is nn.Linear) or attention.is_output(modules, path):
        local = path.removeprefix(next(one for one in blocks if path.startswith(one)))
        for pattern, target in _TARGETS.get(parameter.part, ()):
            if re.search(rf"\.({pattern})$", local):
                targets = [(path, target)]
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


def _parameter(name: str, tensor: Any, *, tower: str | None, layer: int | None, part: Part, fixed: bool) -> Parameter:
    leaf = name.rpartition(".")[2]
    bias = leaf == "bias" or leaf.endswith("_bias")
    return Parameter(name=name, shape=tuple(tensor.shape), tower=tower, layer=layer, part=part, bias=bias, fixed=fixed)


def _is_image(name: str) -> bool:
    return f"{name}.".startswith("visual.")


def _is_blocks(name: str) -> bool:
    return bool(_BLOCKS.fullmatch(name) or _NUMBERED_STAGE.fullmatch(name))


def _index(name: str, blocks: str) -> int:
    return int(name.removeprefix(f"{blocks}.").partition(".")[0])


def _is_norm(module: nn.Module) -> bool:
    return bool(_NORM.search(type(module).__name__))


def _is_attention(module: nn.Module) -> bool:
    kind = type(module).__name__
    return bool(_ATTENTION.search(kind)) and not _BLOCK.search(kind)
