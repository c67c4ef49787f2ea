"""Space: nothing is freed while there is enough, and what is freed for want of it changes no result."""

import threading
import time
from pathlib import Path

import pytest

from study.folder import store_limit
from study.folder.folder import Folder
from study.folder.store_limit import _bound, kept_within
from tests.s3 import Server
from tests.study import command, quick
from trainables.store.opening import open_store


def test_a_run_that_has_little_space_frees_what_it_can_and_ends_with_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update takes 204 bytes; all together would take 6 kB."""
    monkeypatch.setattr(store_limit, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(store_limit, "_MOST_SHARE", 1.0)
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
    large = quick.finish(tmp_path / "large")
    small = quick.finish(tmp_path / "small", f"{quick.STUDY}resources: {{store_gb: 3.0e-6}}\n")
    freed = sum(row["updates"] for row in Folder(path=small).events() if row["event"] == "freed")
    assert freed > 0
    assert len(command.updates(small)) < quick.UPDATES == len(command.updates(large))
    assert not [row for row in Folder(path=large).events() if row["event"] == "freed"]
    command.assert_same_tables(large, small)


def test_a_bound_that_cannot_be_kept_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_limit, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(store_limit, "_MOST_SHARE", 1.0)
    finished = quick.finish(tmp_path, f"{quick.STUDY}keep: all\nresources: {{store_gb: 1.0e-6}}\n")
    told: list[str] = []
    home = Folder(path=finished)
    with kept_within(home, home.definition(), told.append):
        end = time.monotonic() + 20
        while not told and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.1)
    (line,) = told
    assert "over its bound of 1e-06 GB, and all of that is needed (keep: all); raise store_gb" in line
    assert len(command.updates(finished)) == quick.UPDATES
    assert not [thread for thread in threading.enumerate() if thread.name == "space"]


def test_folders_are_bound_by_their_disk_and_buckets_by_what_is_said(tmp_path: Path, s3: Server) -> None:
    definition = Folder(path=quick.finish(tmp_path)).definition()
    free = _bound(open_store(str(tmp_path / "new" / "store")), definition)
    assert free is not None
    assert free > 1e8
    bucket = open_store(f"{s3.make_bucket('space')}/x")
    assert _bound(bucket, definition) is None
    said = definition.resources.model_copy(update={"store_gb": 2.5})
    assert _bound(bucket, definition.model_copy(update={"resources": said})) == 2.5e9
