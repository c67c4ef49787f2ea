"""Pretraining: the recipe and the loop that makes the pocket weights.

Symmetric InfoNCE over the pool as in open_clip (Radford et al., arXiv:2103.00020), with AdamW, warm-up and a cosine to
its end. Every picture is drawn when it is needed and is seen once. A batch is a pure function of (recipe, step), so a
killed run goes on from its last checkpoint, which is a file of safetensors, and ends in the same bits.
"""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainables.files import whole
from trainables.workloads.clip.attention import own
from trainables.workloads.pocket.model import build, normalise
from trainables.workloads.pocket.samples import world_digest
from trainables.workloads.pocket.settings import Size
from trainables.workloads.pocket.tokenizer import tokenize
from trainables.workloads.pocket.world.drawing.randomness import draws
from trainables.workloads.pocket.world.rendering import pool_samples

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Everything that sets the numbers of a pretraining run.

    Attributes:
        size: of the model.
        world_seed: of the world.
        seed: of the initial weights and of the choice of captions.
        steps: of the optimiser; the cosine ends with them, at a hundredth of its peak.
        batch_size: pictures of a step.
        peak_lr: largest rate.
        warmup_steps: steps until the peak.
        weight_decay: of AdamW.
        beta_1: of AdamW.
        beta_2: of AdamW.
        clip_norm: largest norm of a gradient.
        rare: share of rare examples in the first steps.
        late: share of the steps, the last ones, in which there are more rare examples.
        late_rare: share of rare examples in these.
    """

    size: Size = "s"
    world_seed: int = 0
    seed: int = 0
    steps: int = 5_000
    batch_size: int = 256
    peak_lr: float = 2e-3
    warmup_steps: int = 400
    weight_decay: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.98
    clip_norm: float = 1.0
    rare: float = 0.001
    late: float = 0.12
    late_rare: float = 0.16


def pretrain(recipe: Pretraining, *, out: Path, checkpoint_steps: int = 250) -> dict[str, Tensor]:
    """The weights after the last step; goes on from the checkpoint of this recipe in ``out`` where there is one."""
    model = build(recipe.seed, recipe.size).train()
    own(model)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.peak_lr,
        betas=(recipe.beta_1, recipe.beta_2),
        weight_decay=recipe.weight_decay,
    )
    checkpoint = out / f"pocket-{recipe.size}.checkpoint.safetensors"
    first = _restore(checkpoint, recipe, model, optimizer)
    started, loss_sum = time.monotonic(), 0.0
    for step in range(first, recipe.steps):
        images, tokens = batch(recipe, step)
        loss_sum += _train_step(model, optimizer, images, tokens, lr=_lr(recipe, step), clip_norm=recipe.clip_norm)
        done = step + 1
        if done % 100 == 0:
            rate = (done - first) * recipe.batch_size / (time.monotonic() - started)
            log.info("step %d of %d, loss %.3f, %.0f samples/s", done, recipe.steps, loss_sum / 100, rate)
            loss_sum = 0.0
        if done % checkpoint_steps == 0 and done < recipe.steps:
            _save(checkpoint, recipe, done, model, optimizer)
    checkpoint.unlink(missing_ok=True)
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def batch(recipe: Pretraining, step: int) -> tuple[Tensor, Tensor]:
    """Images [B, 3, 32, 32] of the pool that no other step sees, and a caption [B, L] of each."""
    indices = np.arange(step * recipe.batch_size, (step + 1) * recipe.batch_size)
    is_late = step >= (1 - recipe.late) * recipe.steps
    pictures, captions = pool_samples(
        indices, seed=recipe.world_seed, rare=recipe.late_rare if is_late else recipe.rare
    )
    place = draws(recipe.world_seed, f"caption {recipe.seed}", indices).uniform()
    chosen = [candidates[int(at * len(candidates))] for candidates, at in zip(captions, place, strict=True)]
    return normalise(pictures), torch.stack([_tokens(caption) for caption in chosen])


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors as a file of safetensors, whole or not at all."""
    with whole(path) as file:
        save_file({name: value.detach().contiguous() for name, value in tensors.items()}, file, metadata=metadata)


@cache
def _tokens(caption: str) -> Tensor:
    return tokenize(caption)[0]


def _train_step(
    model: CLIP, optimizer: torch.optim.Optimizer, images: Tensor, tokens: Tensor, *, lr: float, clip_norm: float
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = lr
    image_BD, text_BD, scale = model(images, tokens)
    logits_BB = scale * image_BD @ text_BD.T
    same = torch.arange(len(images))
    loss = (F.cross_entropy(logits_BB, same) + F.cross_entropy(logits_BB.T, same)) / 2
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(100))
    return float(loss.detach())


def _lr(recipe: Pretraining, step: int) -> float:
    if step < recipe.warmup_steps:
        return recipe.peak_lr * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.peak_lr * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)


def _save(path: Path, recipe: Pretraining, step: int, model: CLIP, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors |= {f"{key}.{name}": value for key, value in optimizer.state[parameter].items()}
    world = world_digest(recipe.world_seed)
    write(path, tensors, {"step": str(step), "recipe": json.dumps(asdict(recipe)), "world": world})


def _restore(path: Path, recipe: Pretraining, model: CLIP, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint and return how many steps it has done; 0 where there is none of this recipe."""
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    if metadata["recipe"] != json.dumps(asdict(recipe)) or metadata["world"] != world_digest(recipe.world_seed):
        log.warning("%s is of another recipe or world; starting anew", path)
        return 0
    tensors = load_file(path)
    model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
    for name, parameter in model.named_parameters():
        optimizer.state[parameter] = {key: tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
    return int(metadata["step"])
