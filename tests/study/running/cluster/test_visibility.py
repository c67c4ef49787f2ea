"""What a worker looks for on its node, and how long it waits for it."""

import threading
import time
from pathlib import Path

from study.running.cluster.visibility import WorkerNeeds, marked
from trainables.store.local import LocalStore


def test_what_comes_late_is_waited_for(tmp_path: Path) -> None:
    late = tmp_path / "m.parquet"
    with marked(
        LocalStore(tmp_path / "store"), WorkerNeeds(store=str(tmp_path / "store"), files=(str(late),))
    ) as needs:
        assert needs.missing_now() == [f"has no file {late}"]
        threading.Timer(0.3, late.touch).start()
        assert needs.missing_after(patience=10) == []


def test_what_does_not_come_is_told_after_a_while(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    with marked(LocalStore(store), WorkerNeeds(store=str(store))) as needs:
        blind = WorkerNeeds(store=str(elsewhere), note=needs.note)
        began = time.monotonic()
        assert blind.missing_after(patience=0.5) == [f"does not see the store, {elsewhere}"]
        assert time.monotonic() - began >= 0.5
    assert WorkerNeeds(store=str(elsewhere)).missing_after() == []  # on one machine nothing is looked for
