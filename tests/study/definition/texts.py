"""A definition as a user writes it, and what is made of it."""

from pathlib import Path
from typing import Any

import pytest

from study.definition.files import read
from study.definition.study import StudyDefinition
from study.planning.trials import trials
from trainables.config import TrialConfig
from trainables.frozen import ConfigError, parse

TEXT = """
name: mine
workload: {name: pocket, pool: 512}
fixed: {tasks: 3, steps: 4, batch_size: 32}
grid:
  - lr: [1e-3, 2.5E-4]
    timeline: [finetune, ema]
    w: 0.5
blocks: 2
joint: {lr: 1e-2}
"""


def definition(tmp_path: Path, text: str = TEXT) -> StudyDefinition:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return read(path)


def error(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        trials(definition(tmp_path, text), str(tmp_path / "study.yaml"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'study.yaml'}: ")
    return message.removeprefix(f"{tmp_path / 'study.yaml'}: ")


def joint_of(**parts: Any) -> TrialConfig:
    value = {"name": "t", "grid": [{"lr": 1e-3}], "fixed": {"steps": 4}, **parts}
    return next(t.config for t in trials(parse(StudyDefinition, value, source="s"), "s") if t.kind == "anchor")
