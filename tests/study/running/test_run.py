"""How a run without Ray goes on after errors, and how it says that it has ended."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.study import quick
from trainables import cycle
from trainables.store.leases import LeaseLostError
from trainables.workloads.noop.workload import NoopWorkload

STUDY = """
name: errors
workload: {name: noop}
fixed: {tasks: 2, steps: 2, batch_size: 8}
grid: [{lr: [0.1, 0.2]}]
joint: null
retries: 0
"""


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the first runs of trials end with errors."""

    def begin(*errors: BaseException) -> None:
        real, left = cycle.run, list(errors)

        def run(*arguments: object) -> None:
            if left:
                raise left.pop(0)
            real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(cycle, "run", run)

    return begin


def test_a_lease_that_was_lost_is_no_failure_of_the_trial(tmp_path: Path, raising: Callable[..., None]) -> None:
    raising(LeaseLostError("stood still"))
    quick.finish(tmp_path, STUDY)


def test_what_needs_a_gpu_is_refused_as_a_whole_where_there_is_none(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    study = quick.write(tmp_path, f"{STUDY}resources: {{device: cuda}}\n")
    status, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert status == 2
    assert err.count("this process has no GPU") == 1


def test_a_trial_that_fails_ends_the_run_with_status_1(tmp_path: Path, raising: Callable[..., None]) -> None:
    raising(ValueError("of the trial"))
    status, _, err = quick.retune("run", quick.write(tmp_path, STUDY), "--dir", tmp_path / "run", "--inline")
    assert status == 1, err
    assert "1 trials failed" in err
    assert "interrupted" not in err


def test_an_interrupted_run_says_so_also_where_trials_failed(tmp_path: Path, raising: Callable[..., None]) -> None:
    """A scheduler starts it again on 130 alone."""
    raising(ValueError("of the trial"), KeyboardInterrupt())
    study = quick.write(tmp_path, STUDY)
    status, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert status == 130
    assert "1 trials failed" in err
    assert "interrupted with 1 trials to do" in err
    status, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert status == 0, err


def test_a_trial_that_runs_out_of_memory_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real failure of the allocator: no machine addresses so much."""
    monkeypatch.setattr(NoopWorkload, "after_step", lambda *_: torch.empty(2**50))
    study = quick.write(tmp_path, STUDY.replace("retries: 0", "retries: 3"))
    status, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert status == 1, err
    assert err.count("training full on 8 samples a step on cpu ran out of memory; lower batch_size") == 2
    assert "tried again" not in err
