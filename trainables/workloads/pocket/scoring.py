"""Zero-shot accuracy of a pocket model, for the card of its weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from open_clip.model import CLIP

from trainables.workloads.pocket.model import normalise
from trainables.workloads.pocket.samples import samples
from trainables.workloads.pocket.tokenizer import tokenize
from trainables.workloads.pocket.world.datasets import ADAPT, HOLDOUT, data_sets


@torch.inference_mode()
def zero_shot(model: CLIP, cache_dir: Path, *, world_seed: int = 0) -> dict[str, float]:
    """Accuracy in [0, 1] on the test split of every data set, classified by its prompts over its full label set."""
    was_training = model.training
    model.eval()
    accuracy: dict[str, float] = {}
    for row in data_sets(world_seed).values():
        test = samples(row.name, "test", cache_dir, world_seed=world_seed)
        labels_CD = model.encode_text(tokenize([row.prompt.format(name) for name in row.concepts]), normalize=True)
        images_ND = model.encode_image(normalise(test.images), normalize=True)
        guessed = (images_ND @ labels_CD.T).argmax(dim=1).numpy()
        accuracy[row.name] = float((guessed == test.concept).mean())
    model.train(was_training)
    return accuracy


def summary(accuracy: Mapping[str, float]) -> dict[str, float]:
    """AKA, AZS and the accuracies behind them, rounded."""
    aka = sum(accuracy[name] for name in ADAPT) / len(ADAPT)
    azs = sum(accuracy[name] for name in HOLDOUT) / len(HOLDOUT)
    return {"AKA": round(aka, 4), "AZS": round(azs, 4), **{name: round(value, 4) for name, value in accuracy.items()}}
