"""The table of trackers: each can be opened, and a library that is not installed is named before anything runs."""

from pathlib import Path

import pytest

from study.tracking import trackers
from study.tracking.trackers import TRACKERS, require_libraries
from trainables.frozen import ConfigError


def test_a_missing_library_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TRACKERS["wandb"]._replace(library="no_such_library")
    monkeypatch.setattr(trackers, "TRACKERS", {**TRACKERS, "wandb": row})
    require_libraries(["tensorboard"], "study.yaml")
    with pytest.raises(ConfigError) as caught:
        require_libraries(["tensorboard", "wandb"], "study.yaml")
    assert str(caught.value) == (
        "study.yaml: tracking: wandb needs the library no_such_library, which is not installed; install it with: "
        'pip install "retune[wandb]", or remove wandb there'
    )


def test_a_row_opens_its_own_sink(tmp_path: Path) -> None:
    sink = TRACKERS["tensorboard"].open(tmp_path, "a study")
    assert (type(sink).__name__, sink.where) == ("TensorBoard", "here")
    sink.close(finished=True)
