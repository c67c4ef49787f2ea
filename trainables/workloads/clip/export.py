"""Words for the user of an exported CLIP model: code that loads it, the head of its card, and notes."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainables.workloads.workload import Checkpoint, Layout

_LOADING = """import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")
"""
_HUB_HEAD = """---
tags:
- clip
- continual-pretraining
library_name: open_clip
pipeline_tag: zero-shot-image-classification
---
"""


def checkpoint(text_config: Mapping[str, Any], files: Collection[str], layout: Layout) -> Checkpoint:
    """The words for a folder, by the config of its text tower and the names of its files."""
    return Checkpoint(loading=_LOADING, hub_head=_HUB_HEAD, notes=tuple(_notes(text_config, files, layout)))


def _notes(text_config: Mapping[str, Any], files: Collection[str], layout: Layout) -> Iterator[str]:
    if Path(text_config.get("hf_model_name") or "").is_absolute():
        yield (
            "the config of its text tower is in text/, and open_clip_config.json names that place by its whole path "
            "(text_cfg.hf_model_name): change it when the folder moves, or to the name of a hub that has it"
        )
    if layout == "hf" and text_config.get("hf_tokenizer_name") == ".":
        yield (
            "on a hub open_clip reads the tokenizer from the name in open_clip_config.json: before an upload as "
            "ORG/REPO, write that into text_cfg.hf_tokenizer_name"
        )
    if layout == "hf" and "tokenizer_config.json" not in files:
        yield (
            "its tokenizer is open_clip's own with settings that transformers has not, so no files of it are written; "
            "open_clip makes it from open_clip_config.json"
        )
