"""What has to stay: the frontier of configs, and what studies on one store need of it."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.folder.retention import Ends, holdings_of, must_stay, on_the_frontier, register
from study.planning.plan import Known, make_plan, stored_keys
from tests.study import quick
from trainables.frozen import ConfigError, parse
from trainables.store.local import LocalStore
from trainables.store.memory import MemoryStore

POINTS = st.tuples(st.integers(0, 4), st.integers(0, 4))


@given(st.dictionaries(st.sampled_from("abcdefgh"), POINTS))
def test_the_frontier_is_what_nothing_else_dominates(points: dict[str, tuple[int, int]]) -> None:
    ends: Ends = {config: {"0": (float(aka), float(azs))} for config, (aka, azs) in points.items()}
    expected = {
        config
        for config, one in points.items()
        if not any(other[0] >= one[0] and other[1] >= one[1] and other != one for other in points.values())
    }
    assert on_the_frontier(ends) == expected


def test_configs_are_compared_on_the_blocks_that_both_have_finished() -> None:
    ends: Ends = {
        "all": {"0": (0.5, 0.5), "1": (0.9, 0.9)},
        "worse where it has run": {"0": (0.4, 0.5)},
        "better where it has run": {"0": (0.6, 0.5)},
        "worse in the mean alone": {"0": (0.5, 0.6), "1": (0.7, 0.7)},
    }
    assert on_the_frontier(ends) == {"all", "better where it has run"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick.finish(tmp_path_factory.mktemp("finished"))


def test_what_stays_grows_with_the_retention_and_nothing_of_an_unfinished_trial_goes(finished: Path) -> None:
    home = Folder(path=finished)
    definition, store, plan = home.definition(), home.store(), home.plan()
    have = stored_keys(store)
    stay = must_stay(plan, definition, store, have)
    assert stay["needed"] <= stay["final"] < stay["all"] == have.updates
    assert len(stay["final"]) == quick.UPDATES - 4  # of the two chains of full fine-tuning on two blocks the middle
    open_ = plan.trials[5]
    less = Known(updates=have.updates, scores=have.scores - {open_.steps[-1].scores}, costs=have.costs)
    assert must_stay(plan, definition, store, less)["needed"] >= set(open_.updates[-1:])
    nothing = Known(updates=have.updates, scores=frozenset(), costs=frozenset())
    assert must_stay(plan, definition, store, nothing)["needed"] == have.updates


# -- several studies on one store --------------------------------------------------------------------------------------


def shared(folder: Path, store: Path | str, name: str, lr: float, **keys: str) -> Path:
    """A finished study of one trial on a shared store."""
    more = "".join(f"{key}: {value}\n" for key, value in keys.items())
    folder.mkdir()
    return quick.finish(
        folder,
        f"name: {name}\nworkload: {{name: noop}}\nfixed: {{tasks: 3, steps: 4, batch_size: 8}}\n"
        f"grid: [{{method: full, lr: {lr}}}]\njoint: null\nstore: {store}\n{more}",
    )


def freeable(folder: Path) -> int:
    home = Folder(path=folder)
    return len(holdings_of(home.store(), home, home.definition()).freeable("needed"))


def test_what_another_study_keeps_stays(tmp_path: Path) -> None:
    """Three updates of each, of which the last is served."""
    store = tmp_path / "store"
    one = shared(tmp_path / "one", store, "one", 0.1)
    assert freeable(one) == 2
    two = shared(tmp_path / "two", store, "two", 0.2, keep="all")
    assert not (two / "store").exists()
    assert freeable(one) == 2
    assert freeable(two) == 2 + 2  # its own, which `keep` would hold, by the retention that is asked for
    # A study that was deleted needs nothing any more; one that moved to another store, nothing here.
    moved = two / "study.yaml"
    moved.write_text(moved.read_text().replace(f"store: {store}", f"store: {tmp_path / 'other'}"))
    assert freeable(one) == 2 + 3
    two.rename(tmp_path / "gone")
    assert freeable(one) == 2 + 3


def test_a_store_has_one_place_however_studies_spell_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    one = shared(tmp_path / "one", store, "one", 0.1)
    shared(tmp_path / "two", f"file://{store}", "two", 0.2, keep="all")
    assert "file:///" in (tmp_path / "two" / "run" / "study.yaml").read_text()
    assert freeable(one) == 2


def test_a_study_is_the_same_on_another_host_in_another_place_and_a_copy_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    one = shared(tmp_path / "one", store, "one", 0.1)
    home, notes = Folder(path=one), LocalStore(store).notes
    assert len(notes("studies")) == 1
    monkeypatch.setattr("platform.node", lambda: "another")
    register(home.store(), home, home.definition())
    moved = Folder(path=one.rename(tmp_path / "mounted elsewhere"))
    register(moved.store(), moved, moved.definition())
    assert notes("studies") == [f"studies/{moved.name_in_stores}"]
    assert freeable(moved.path) == 2
    copy = Folder(path=Path(shutil.copytree(moved.path, tmp_path / "copy")))
    register(copy.store(), copy, copy.definition())
    assert len(notes("studies")) == 2
    assert copy.name_in_stores != moved.name_in_stores
    (store / "studies" / f"{copy.name_in_stores}").write_bytes(b"damaged")
    register(copy.store(), copy, copy.definition())  # which mends its note
    assert freeable(moved.path) == 2


def test_studies_of_other_machines_are_planned_from_what_they_said_or_nothing_is_freed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    one = shared(tmp_path / "one", store, "one", 0.1)
    two = shared(tmp_path / "two", store, "two", 0.2)
    (note,) = (name for name in LocalStore(store).notes("studies") if "two" in str(LocalStore(store).read_note(name)))
    said = json.loads(LocalStore(store).read_note(note) or b"")
    two.rename(tmp_path / "seen from there alone")
    for change, expected in (({"host": "another"}, 2 + 2), ({"host": "another", "definition": {"name": "x"}}, None)):
        LocalStore(store).write_note(note, json.dumps({**said, **change}).encode())
        if expected is not None:
            assert freeable(one) == expected
            continue
        with pytest.raises(ConfigError, match=f"{note}: the note of a study .* cannot be read; run that study again"):
            freeable(one)
    (store / note).write_bytes((store / note).read_bytes()[:-3])
    with pytest.raises(ConfigError, match="nothing is freed"):
        freeable(one)


def test_a_search_elsewhere_is_not_guessed_at(tmp_path: Path) -> None:
    store = tmp_path / "store"
    one = shared(tmp_path / "one", store, "one", 0.1)
    value = {
        "name": "searching",
        "workload": {"name": "noop"},
        "fixed": {"tasks": 3, "steps": 4, "batch_size": 8},
        "search": {"spaces": [{"method": "full", "lr": {"low": 1e-3, "high": 1e-1}}], "stop": {"trials": 3}},
        "joint": None,
    }
    definition = parse(StudyDefinition, value, source="searching.yaml")
    (tmp_path / "searching").mkdir()
    register(LocalStore(store), Folder(path=tmp_path / "searching"), definition)
    (note,) = (name for name in LocalStore(store).notes("studies") if "low" in str(LocalStore(store).read_note(name)))
    said = json.loads(LocalStore(store).read_note(note) or b"")
    LocalStore(store).write_note(note, json.dumps({**said, "host": "another"}).encode())
    with pytest.raises(ConfigError, match=r"study searching .* on another.* what it has decided is in its folder"):
        freeable(one)


def test_the_plan_of_a_study_that_has_nothing_yet_needs_nothing() -> None:
    value = {
        "name": "new",
        "workload": {"name": "noop"},
        "fixed": {"tasks": 3, "steps": 4, "batch_size": 8},
        "grid": [{"method": "full", "lr": 0.1}],
    }
    definition = parse(StudyDefinition, value, source="new.yaml")
    store = MemoryStore()
    stay = must_stay(make_plan(definition, "new.yaml"), definition, store, stored_keys(store))
    assert stay == {"needed": frozenset(), "final": frozenset(), "all": frozenset()}
