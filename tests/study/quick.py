"""A study of the noop workload: the real loop, commands and files within a second, in this process."""

from pathlib import Path

from tests.study import command

STUDY = """
name: quick
workload: {name: noop}
fixed: {tasks: 3, steps: 4, batch_size: 8}
grid:
  - {method: full, timeline: [finetune, ema], w: 0.5, lr: [0.01, 0.3]}
  - {method: full, timeline: zs, w: [0.5, 0.8], lr: 0.1}
blocks: 2
joint: {lr: 0.3}
"""
TRIALS, CONFIGS, TASKS, UPDATES = 14, 6, 38, 28
"""Trials with the two joint anchors, configs without; 12 x 3 + 2 tasks; ZS-merge trains once for both w."""


def write(folder: Path, text: str = STUDY) -> Path:
    """The definition in a folder."""
    return command.write_study(folder, text)


def finish(folder: Path, text: str = STUDY) -> Path:
    """A finished study in a new folder."""
    status, _, err = retune("run", write(folder, text), "--dir", folder / "run", "--inline")
    assert status == 0, err
    return folder / "run"


def retune(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command in this process; returns its exit status, its output and its errors."""
    done = command.here(*arguments)
    return done.returncode, done.stdout, done.stderr
