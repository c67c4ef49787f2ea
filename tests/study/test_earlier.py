"""Studies that ran before a change of the code are found whole after it: read as they are, and nothing made again.

`earlier/README.md` says how they were made.
"""

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from study.folder.folder import Folder
from tests.study import command
from trainables.store.local import LocalStore
from trainables.store.store import Kind
from trainables.workloads.identity import Identity, Scored
from trainables.workloads.pocket.identity import identify_pocket
from trainables.workloads.pocket.settings import Pocket

EARLIER = Path(__file__).parent / "earlier"
WORLD_1 = EARLIER / "pocket_world_1.json"
"""The identity of the pocket benchmark that `adapters` ran on: a part of its keys, and no part of what is tested."""

TRIALS = {"grid": 64, "subset": 4, "search": 14, "adapters": 14}
"""Trials of each, with their anchors."""


@pytest.mark.parametrize("name", TRIALS)
def test_all_of_an_earlier_study_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "adapters":
        monkeypatch.setenv(
            "RETUNE_CACHE", str(tmp_path / "cache")
        )  # identities are kept by it, and this is of no other
        monkeypatch.setattr("trainables.workloads.pocket.identity.identify_pocket", of_world_1)
    with tarfile.open(EARLIER / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / name
    (folder / "tables").rename(tmp_path / "recorded")
    before = held(folder)

    plan, store = Folder(path=folder).plan(), LocalStore(folder / "store")
    assert len(plan.trials) == TRIALS[name]
    expected: dict[Kind, set[str]] = {
        "updates": set(plan.unique_updates),
        "records": set(plan.unique_updates),
        "scores": set(plan.unique_scores),
        "costs": {planned.cost for planned in plan.trials},
    }
    for kind, asked in expected.items():
        there = store.keys(kind)
        lost = f"{len(asked - there)} of {len(asked)} {kind} are not found, {len(there - asked)} are orphaned"
        assert asked == there, f"{name}: {lost}; only a raised NUMERICS_VERSION may do so"
    status = json.loads(command.ok_here("status", folder, "--json"))
    assert (status["state"], status["done"] + status["stopped"]) == ("finished", TRIALS[name])
    for study in (EARLIER / f"{name}.yaml", folder / "study.yaml"):  # as it was written, and as it was understood then
        refused = command.here("run", study, "--dir", folder, "--inline")
        assert (refused.returncode, "under version 4 of the numerics" in refused.stderr) == (2, True)
    command.ok_here("findings", folder)  # writes the tables
    assert held(folder) == before
    assert_same_values(tmp_path / "recorded", folder / "tables")


def of_world_1(settings: Pocket, cache: Path) -> Identity:
    """The identity of the pocket benchmark as it was then."""
    known = json.loads(WORLD_1.read_text())
    known |= {"concepts": tuple(known["concepts"]), "tests": tuple(Scored(*one) for one in known["tests"])}
    return replace(identify_pocket(settings, cache), **known)


def held(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All values of a study's store, with the time at which each was written."""
    paths = (path for kind in get_args(Kind) for path in (folder / "store" / kind).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def assert_same_values(recorded: Path, tables: Path) -> None:
    """All columns that there were, measured times among them, which are read from the store; there may be new ones."""
    for path in sorted(recorded.glob("*.parquet")):
        old, new = pd.read_parquet(path), pd.read_parquet(tables / path.name)
        pd.testing.assert_frame_equal(old, new[list(old.columns)], check_exact=True, obj=path.name)
