"""The command `python -m trainables.workloads.pocket.pretrain`: makes the shipped weights again, or new ones.

It writes the weights in half precision and their card, and goes on where a killed run stopped.
"""

import argparse
import json
import logging
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import torch

from trainables.workloads.pocket.model import build
from trainables.workloads.pocket.pretraining import Pretraining, pretrain, write
from trainables.workloads.pocket.release import SHIPPED, Release
from trainables.workloads.pocket.scoring import summary, zero_shot
from trainables.workloads.pocket.settings import Size
from trainables.workloads.pocket.tokenizer import CONTEXT_LENGTH
from trainables.workloads.pocket.world import WORLD_VERSION
from trainables.workloads.pocket.world.pool import RARE, RARE_EXPONENT, RARE_WEIGHTS

log = logging.getLogger(__name__)

RECIPES: dict[Size, Pretraining] = {
    "s": Pretraining(size="s"),
    "m": Pretraining(size="m", steps=4_000, peak_lr=1.5e-3),
}
"""How the shipped weights were made."""


def make(recipe: Pretraining, *, out: Path, cache_dir: Path) -> Release:
    """Pretrain, and write the weights and their card into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    halves = {name: value.half() for name, value in pretrain(recipe, out=out).items()}
    model = build(recipe.seed, recipe.size)
    model.load_state_dict({name: value.float() for name, value in halves.items()})
    card: dict[str, Any] = {
        "recipe": asdict(recipe),
        "rare": {"share": RARE, "exponent": RARE_EXPONENT, "weights": RARE_WEIGHTS},
        "zero_shot": summary(zero_shot(model, cache_dir, world_seed=recipe.world_seed)),
        "world_version": WORLD_VERSION,
        "parameters": sum(value.numel() for value in model.parameters()),
        "context_length": CONTEXT_LENGTH,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "open_clip": open_clip.__version__,
        },
    }
    release = Release(recipe.size, out)
    write(release.weights, halves, {})
    release.card_file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    log.info("done: %s", card["zero_shot"])
    return release


def main() -> None:
    """Pretrain, as the command line says."""
    parser = argparse.ArgumentParser(description="Make the weights of a pocket model.")
    parser.add_argument("--size", choices=sorted(RECIPES), default="s")
    parser.add_argument("--world-seed", type=int, default=0, help="draw of the world; 0 is the shipped one")
    parser.add_argument("--steps", type=int, default=None, help="fewer or more steps than the shipped weights'")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder of the weights and the checkpoint")
    parser.add_argument("--cache", type=Path, default=None, help="folder of rendered pictures (default: in --out)")
    arguments = parser.parse_args()
    if arguments.world_seed and arguments.out == SHIPPED:
        parser.error("--world-seed: weights of another world need a folder of their own; give --out FOLDER")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    own = {"world_seed": arguments.world_seed, "steps": arguments.steps}
    changes = {name: value for name, value in own.items() if value is not None}
    recipe = Pretraining(**asdict(RECIPES[arguments.size]) | changes)
    make(recipe, out=arguments.out, cache_dir=arguments.cache or arguments.out / "cache")


if __name__ == "__main__":
    main()
