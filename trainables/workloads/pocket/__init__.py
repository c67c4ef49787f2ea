"""The pocket benchmark: a procedural world of small pictures with captions, and a small CLIP pretrained on it."""

from pathlib import Path

WEIGHTS_FILE = Path(__file__).with_name("pocket.safetensors")
"""The shipped pretrained weights; `python -m trainables.workloads.pocket.pretrain` makes them again."""
