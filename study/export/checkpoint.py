"""Export: the served weights of a trial as a checkpoint of the model's own library, with a card."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainables.build import Builder
from trainables.config import TrialConfig
from trainables.lineages import Lineages, Step
from trainables.metrics import Score, Summary, summarise
from trainables.nodes import NUMERICS_VERSION, Base
from trainables.runtime import Runtime
from trainables.store.store import Store
from trainables.workloads.catalogue import open_workload
from trainables.workloads.workload import Layout


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
        layout: what the folder is for.
        numerics: the version that made the updates. Those of another one all have to be in the store.
    """
    runtime.apply()
    builder = Builder(open_workload(config.workload, runtime), store, runtime)
    identity = builder.workload.identity
    lineages = Lineages(identity, numerics)
    steps = [step for step in lineages.of(config) if step.task <= task]
    served = steps[-1].served
    checkpoint = builder.workload.export(builder.weights(served), out, layout)
    passes = sum(step.update.recipe.passes for step in steps if step.update is not None)
    exported = Exported(
        scores=builder.scores(served),
        zero_shot=builder.scores(lineages.base),
        steps=sum(step.update.recipe.steps for step in steps if step.update is not None),
        flops=passes * builder.cost(config.recipe, numerics).flops,
        notes=checkpoint.notes,
    )
    card = "".join(_card(config, steps[-1], exported, study=study, base=lineages.base, loading=checkpoint.loading))
    (out / "README.md").write_text(f"{checkpoint.hub_head}{card}" if layout == "hf" else card)
    return exported


def _card(
    config: TrialConfig, step: Step, exported: Exported, *, study: str, base: Base, loading: str
) -> Iterator[str]:
    recipe, now, before = config.recipe, exported.summary, summarise(exported.zero_shot)
    yield f"# {_cell(_without_folders(config.workload.title))}, updated\n\n"
    yield (
        f"Weights of the study `{study}`, trial `{config.trial_id}`, served after task {step.task} of "
        f"{config.stream.tasks}. Load them with\n\n```python\n{loading}```\n\n"
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


def _without_folders(value: Any) -> Any:
    """The value with files by name alone, such as local-dir:MODEL: folders of this machine are private."""
    if isinstance(value, dict):
        return {key: _without_folders(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    place = re.fullmatch(r"([\w-]+:)?(/(?!/).*)", value, re.DOTALL) if isinstance(value, str) else None
    return value if place is None else f"{place[1] or ''}{Path(place[2]).name}"


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, width=100)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _cell(text: str) -> str:
    """A text of the user, escaped for a table in Markdown."""
    return "".join(f"\\{one}" if one in r"\`*_{}[]<>()#+-!|~" else one for one in text.replace("\n", " "))
