"""Export: the served weights of a trial as a checkpoint of the model's own library, with a card."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from trainables.build import Builder
from trainables.config import Clip, TrialConfig
from trainables.lineages import Lineages, Step
from trainables.metrics import Score, Summary, summarise
from trainables.nodes import NUMERICS_VERSION, Base
from trainables.runtime import Runtime
from trainables.store.store import Store
from trainables.workloads import open_workload

Layout = Literal["open_clip", "hf"]
"""A folder that open_clip loads; "hf" is one that may be put on the hub as it is, with the head of a card there."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Scores of exported weights and of the pretrained ones, and the steps and FLOPs between them.

    `notes` say what of the folder needs a change when it moves.
    """

    scores: tuple[Score, ...]
    zero_shot: tuple[Score, ...]
    steps: int
    flops: float
    notes: tuple[str, ...]

    @property
    def summary(self) -> Summary:
        """Accumulation and retention."""
        return summarise(self.scores)


def export_weights(
    config: TrialConfig,
    task: int,
    *,
    study: str,
    store: Store,
    runtime: Runtime,
    out: Path,
    layout: Layout,
    numerics: int = NUMERICS_VERSION,
) -> Exported:
    """Write the weights that `config` serves after `task` into `out`; what the store lacks of them is trained.

    Args:
        config: of the trial.
        task: 0 is the pretrained model.
        study: its name, for the card.
        store: of the study.
        runtime: for what has to be trained or scored.
        out: folder to write.
        layout: see `Layout`.
        numerics: the version that made the updates. Those of another one all have to be in the store.
    """
    runtime.apply()
    builder = Builder(open_workload(config.workload, runtime), store, runtime)
    identity = builder.workload.identity
    lineages = Lineages(identity, numerics)
    steps = [step for step in lineages.of(config) if step.task <= task]
    served = steps[-1].served
    builder.workload.export(builder.weights(served), out)
    if layout == "hf" and isinstance(config.workload, Clip):
        _write_hub_tokenizer(config.workload, runtime, out)
    passes = sum(step.update.recipe.passes for step in steps if step.update is not None)
    exported = Exported(
        scores=builder.scores(served),
        zero_shot=builder.scores(lineages.base),
        steps=sum(step.update.recipe.steps for step in steps if step.update is not None),
        flops=passes * builder.cost(config.recipe, numerics).flops,
        notes=tuple(_notes(out, layout)),
    )
    card = "".join(_card(config, steps[-1], exported, study=study, base=lineages.base))
    (out / "README.md").write_text(f"{_HEAD}{card}" if layout == "hf" else card)
    return exported


def _write_hub_tokenizer(workload: Clip, runtime: Runtime, out: Path) -> None:
    from trainables.workloads.clip.models import open_model

    for name, content in open_model(workload.model, runtime.cache).hub_tokenizer().items():
        (out / name).write_text(content, encoding="utf-8")


def _notes(out: Path, layout: Layout) -> Iterator[str]:
    text = json.loads((out / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    if Path(text.get("hf_model_name") or "").is_absolute():
        yield (
            "the config of its text tower is in text/, and open_clip_config.json names that place by its whole path "
            "(text_cfg.hf_model_name): change it when the folder moves, or to the name of a hub that has it"
        )
    if layout == "hf" and text.get("hf_tokenizer_name") == ".":
        yield (
            "on a hub open_clip reads the tokenizer from the name in open_clip_config.json: before an upload as "
            "ORG/REPO, write that into text_cfg.hf_tokenizer_name"
        )
    if layout == "hf" and not (out / "tokenizer_config.json").is_file():
        yield (
            "its tokenizer is open_clip's own with settings that transformers has not, so no files of it are written; "
            "open_clip makes it from open_clip_config.json"
        )


_HEAD = """---
tags:
- clip
- continual-pretraining
library_name: open_clip
pipeline_tag: zero-shot-image-classification
---
"""


def _card(config: TrialConfig, step: Step, exported: Exported, *, study: str, base: Base) -> Iterator[str]:
    recipe, now, before = config.recipe, exported.summary, summarise(exported.zero_shot)
    yield f"# {_model_name(config)}, updated\n\n"
    yield (
        f"Weights of the study `{study}`, trial `{config.trial_id}`, served after task {step.task} of "
        f"{config.stream.tasks}. Load them with\n\n```python\nimport open_clip\n\n"
        'model, _, preprocess = open_clip.create_model_and_transforms("local-dir:FOLDER")\n'
        'tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")\n```\n\n'
    )
    for note in exported.notes:
        yield f"Note: {note}.\n\n"
    yield "## What it knows\n\n| | pretrained | these weights | change, points |\n|---|---|---|---|\n"
    for name, old, new in (
        ("accumulation, AKA", before.aka, now.aka),
        ("retention, AZS", before.azs, now.azs),
        ("their geometric mean, GM", before.gm, now.gm),
    ):
        yield f"| {name} | {_percent(old)} | {_percent(new)} | {100 * (new - old):+.2f} |\n"
    yield (
        "\nOne run, so without intervals: the study's report has those. AKA is the mean over the data sets that the "
        "updates taught, AZS over those that they did not.\n\n"
    )
    yield "| data set | group | metric | n | pretrained | these weights |\n|---|---|---|---|---|---|\n"
    for old_score, score in zip(exported.zero_shot, exported.scores, strict=True):
        yield (
            f"| {_cell(score.dataset)} | {score.group} | {score.metric} | {score.n} | {_percent(old_score.value)} | "
            f"{_percent(score.value)} |\n"
        )
    yield f"\n## How it was made\n\n{exported.steps} optimiser steps, {exported.flops:.3g} FLOPs, seed {config.seed}, "
    yield f"method {recipe.method.name}, timeline {config.timeline.name}; pretrained weights {base.model[:16]}; "
    yield f"retune numerics {base.numerics}. The whole config:\n\n"
    yield f"```yaml\n{_yaml(_without_folders(config.canonical()))}```\n"


def _model_name(config: TrialConfig) -> str:
    if not isinstance(config.workload, Clip):
        return "The pocket model of retune"
    model = config.workload.model
    return _cell(Path(model.name).stem if model.name.endswith(".json") else str(_without_folders(model.name)))


def _without_folders(value: Any) -> Any:
    """The value with files by name alone: folders of this machine mean nothing elsewhere, and are private."""
    if isinstance(value, dict):
        return {key: _without_folders(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    local, text = "local-dir:", str(value)
    if isinstance(value, str) and Path(text.removeprefix(local)).is_absolute():
        return f"{local if text.startswith(local) else ''}{Path(text.removeprefix(local)).name}"
    return value


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, width=100)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _cell(text: str) -> str:
    """A text of the user, escaped for a table in Markdown."""
    return "".join(f"\\{one}" if one in r"\`*_{}[]<>()#+-!|~" else one for one in text.replace("\n", " "))
