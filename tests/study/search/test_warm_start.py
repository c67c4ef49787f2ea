"""Warm start: what an earlier study found in this space is known from the beginning, and never trained again."""

from pathlib import Path
from typing import Any

import pytest

from study.definition.files import dump, read
from study.planning.searched import space_of
from study.results.tables import make_tables, write
from study.search.sampler import POPULATION
from study.search.search import SearchSource
from study.search.warm_start import warm_started
from tests.study.search.driver import Driver, definition
from tests.study.search.test_search import RATE, SPACES, scores
from trainables.frozen import ConfigError

GRID = [
    {"method": "full", "timeline": ["finetune", "ema"], "w": 0.5, "lr": [1e-3, 3e-3]},
    {"method": "lora", "rank": [4, 16], "lr": 1e-2},  # 16 is not in the space
    {"method": "full", "lr": 0.05},  # nor is this rate
]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    one = Driver(definition(grid=GRID), tmp_path_factory.mktemp("grid"), scores)
    one.run()
    return one


@pytest.fixture
def earlier(grid: Driver, tmp_path: Path) -> Path:
    """The folder of a finished grid."""
    return finished(grid, tmp_path / "earlier")


def finished(grid: Driver, folder: Path) -> Path:
    write(make_tables(grid.plan(), grid.store, {}), folder / "tables")
    (folder / "study.yaml").write_text(dump(grid.definition))
    return folder


def searching(folder: Path, earlier: Path, store: Any = None, blocks: int = 1, **parts: Any) -> Driver:
    folder.mkdir(exist_ok=True)
    search = {"spaces": SPACES, "warm_start": [str(earlier)], "stop": {"trials": 6}, **parts}
    return Driver(definition(search=search, blocks=blocks), folder, scores, store)


def test_configs_of_the_space_are_known_with_their_ends(earlier: Path, tmp_path: Path, grid: Driver) -> None:
    one = searching(tmp_path, earlier)
    found = warm_started(one.definition, space_of(one.definition, "s"), "s")
    own = {planned.trial.config.config_id: planned for planned in grid.started if planned.trial.kind == "trial"}
    assert len(found) == 5
    for warm in found:
        assert warm.ends[0][:2] == pytest.approx(scores(own[warm.config], 2), abs=1e-15)
        assert warm.starts[0].azs == 0.84
    assert sorted(str(warm.point.values["method"]) for warm in found) == ["full"] * 4 + ["lora"]


def test_what_is_told_changes_what_is_asked_for(earlier: Path, tmp_path: Path) -> None:
    warm, cold = searching(tmp_path / "warm", earlier, stop={"trials": 12}), searching(tmp_path / "cold", earlier)
    warm.run()
    cold.definition = definition(search={"spaces": SPACES, "stop": {"trials": 12}})
    cold.run()
    assert warm.configs()[:5] == cold.configs()[:5]  # at random
    assert warm.configs() != cold.configs()  # 5 are known, so the sampler learns five suggestions earlier
    assert len(warm.started) == 1 + 12


def test_on_a_shared_store_they_are_trials_of_this_study_and_cost_nothing(
    earlier: Path, tmp_path: Path, grid: Driver
) -> None:
    one = searching(tmp_path, earlier, grid.store)
    one.run()
    ids = {planned.trial.id for planned in one.plan().trials if planned.trial.kind == "trial"}
    theirs = {planned.trial.id for planned in grid.started if planned.trial.kind == "trial"}
    assert len(ids & theirs) == 5
    assert len(ids) == 5 + 6
    assert not {planned.trial.id for planned in one.started} & theirs
    again = searching(tmp_path, earlier, one.store)
    again.run()
    assert again.started == []
    assert len(again.configs()) == len(one.configs())


def test_blocks_that_are_added_to_them_cost_like_any(earlier: Path, tmp_path: Path, grid: Driver) -> None:
    one = searching(tmp_path, earlier, grid.store, blocks=3, stop={"trials": 3})
    theirs = {planned.trial.id: planned.trial.config.config_id for planned in grid.started}
    for _ in range(2):
        one.run()
        assert one.reason == "3 trials, as asked"
        own = [planned.trial for planned in one.plan().trials if planned.trial.kind == "trial"]
        new = [trial.config.config_id for trial in own if trial.id not in theirs]
        assert len(new) == 3
        assert set(new) & set(theirs.values())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most_tasks", [3, 1000])
def test_those_that_do_not_run_here_get_no_blocks(
    earlier: Path, tmp_path: Path, grid: Driver, seed: int, most_tasks: int
) -> None:
    """With a store of its own a search asks for known configs again, and has no trials of them; killed and not."""
    space = {"method": "full", "timeline": ["finetune", "ema"], "w": [0.5, 0.8], "lr": [1e-3, 3e-3]}
    one = searching(tmp_path, earlier, blocks=3, spaces=[space], stop={}, seed=seed)
    while one.reason is None:
        one.run(most_tasks=one.tasks + most_tasks)
    assert any(suggestion.known for suggestion in one.file.read().suggested)
    ids = {planned.trial.config.config_id for planned in one.started if planned.trial.kind == "trial"}
    assert ids.isdisjoint(planned.trial.config.config_id for planned in grid.started)
    assert len(ids) == 2


def test_nsga2_takes_parents_from_them(tmp_path: Path) -> None:
    """As many as a generation has: the search begins with their children."""
    rates = [(i + 1) * 1e-3 for i in range(POPULATION)]
    grid = Driver(definition(grid=[{"timeline": "ema", "w": 0.5, "lr": rates}]), tmp_path, scores)
    grid.run()
    folder = finished(grid, tmp_path / "earlier")
    spaces = [{"timeline": "ema", "w": {"low": 0.3, "high": 0.9}, "lr": RATE}]
    parts: dict[str, Any] = {"spaces": spaces, "sampler": "nsga2", "stop": {"trials": 1}}
    warm, cold = (searching(tmp_path / name, folder, **parts) for name in ("warm", "cold"))
    cold.definition = definition(search=parts)
    for one in (warm, cold):
        one.run()
    assert [one.file.read().suggested[0].generation for one in (warm, cold)] == [1, 0]
    assert warm.configs() != cold.configs()


def test_a_finite_space_that_is_known_asks_for_the_rest(earlier: Path, tmp_path: Path) -> None:
    space = {"method": "full", "timeline": ["finetune", "ema"], "w": [0.5, 0.8], "lr": [1e-3, 3e-3]}
    one = searching(tmp_path, earlier, spaces=[space], stop={})
    one.run()
    assert one.reason == "all 6 configs of the space are known"
    assert [planned.trial.config.timeline.w for planned in one.started if planned.trial.kind == "trial"] == [0.8, 0.8]
    assert len([planned for planned in one.plan().trials if planned.trial.kind == "trial"]) == 2
    one.started.clear()
    one.run()
    assert one.started == []


@pytest.mark.parametrize(
    ("gone", "replaced", "said"),
    [
        ("", ("pool: 512", "pool: 1024"), "has another workload"),
        ("study.yaml", ("", ""), "is no study's folder"),
        ("tables", ("", ""), "the tables of .* cannot be read"),
    ],
)
def test_folders_that_say_nothing_here_are_refused(
    earlier: Path, tmp_path: Path, gone: str, replaced: tuple[str, str], said: str
) -> None:
    definition_file = earlier / "study.yaml"
    definition_file.write_text(definition_file.read_text().replace(*replaced))
    if gone:
        (earlier / gone).rename(tmp_path / "gone")
    with pytest.raises(ConfigError, match=said) as error:
        searching(tmp_path / "run", earlier).source()
    assert "search.warm_start[0]" in str(error.value)


def test_folders_are_seen_from_the_definition(earlier: Path, tmp_path: Path) -> None:
    """And the frozen definition names them by their whole path."""
    one = searching(tmp_path, Path("earlier"), spaces=[{"lr": RATE}])
    (tmp_path / "s.yaml").write_text(dump(one.definition))
    found = read(tmp_path / "s.yaml")
    assert found.search is not None
    assert found.search.warm_start == [str(earlier)]
    one.definition = found
    assert isinstance(one.source(), SearchSource)
