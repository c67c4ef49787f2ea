"""A search on its real plan, store and decisions; what trials score is a function of their configs (`driver`)."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.planning.plan import PlannedTrial, stored_keys
from study.planning.searched import search_digest
from study.search.sampler import SAMPLERS
from study.search.search import FAILURES, SearchSource
from study.search.search_bounds import most_trials
from study.search.spending import cost_of, passes
from tests.study.search.driver import Driver, definition, lr_of
from trainables.store.memory import MemoryStore
from trainables.store.store import Kind

RATE = {"low": 1e-4, "high": 1e-2}
SPACES: list[dict[str, Any]] = [
    {"method": "full", "timeline": ["finetune", "ema"], "w": {"low": 0.3, "high": 0.9}, "lr": RATE},
    {"method": ["lora", "vera"], "rank": [2, 4, 8], "lr": {"low": 1e-3, "high": 3e-2}},
]
JOINT = (0.7, 0.80)


def scores(planned: PlannedTrial, task: int) -> tuple[float, float]:
    """A trade-off by learning rate, with noise of the trial."""
    if task == 0:
        return 0.3, 0.84
    if planned.trial.kind == "anchor":
        return JOINT
    place = math.log10(lr_of(planned)) + 4
    draw = random.Random(planned.trial.id)
    share = task / planned.trial.config.stream.tasks
    aka = 0.3 + 0.3 * share * max(0.0, min(1.0, place / 1.5)) + draw.gauss(0, 0.005)
    return aka, 0.84 - 0.1 * share * max(0.0, place - 1) + draw.gauss(0, 0.005)


def worse_adapters(planned: PlannedTrial, task: int) -> tuple[float, float]:
    aka, azs = scores(planned, task)
    worse = 0.05 * task * (planned.trial.method in ("lora", "vera"))
    return aka - worse, azs - worse


def driver(folder: Path, scores: Any = scores, blocks: int = 1, store: Any = None, **search: Any) -> Driver:
    folder.mkdir(exist_ok=True)
    parts = {"spaces": SPACES, **search}
    extra = {key: parts.pop(key) for key in ("joint", "early_stopping", "fixed") if key in parts}
    return Driver(definition(search=parts, blocks=blocks, **extra), folder, scores, store)


def blocks_of(one: Driver) -> dict[str, int]:
    """Config -> blocks that it runs on."""
    found: dict[str, int] = {}
    for planned in one.plan().trials:
        if planned.trial.kind == "trial":
            found[planned.trial.config.config_id] = found.get(planned.trial.config.config_id, 0) + 1
    return found


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_a_seed_gives_one_sequence_also_over_kills(tmp_path: Path, sampler: str) -> None:
    settings = {"sampler": sampler, "stop": {"trials": 24}, "constraints": {"retention_loss": 0.05, "cost_mafs": 1e9}}
    whole = driver(tmp_path / "whole", blocks=3, **settings)
    whole.run()
    assert whole.reason == "24 trials, as asked"
    killed = driver(tmp_path / "killed", blocks=3, **settings)
    while killed.reason is None:
        killed.run(most_tasks=killed.tasks + 5)
    assert killed.file.read() == whole.file.read()
    assert killed.plan() == whole.plan()
    assert set(killed.store.keys("updates")) == set(whole.store.keys("updates"))
    other = driver(tmp_path / "other", blocks=3, seed=1, **settings)
    other.run(most_tasks=9)
    assert other.configs()[0] != whole.configs()[0]


def test_every_config_runs_on_the_first_blocks_and_the_open_ones_on_more(tmp_path: Path) -> None:
    one = driver(tmp_path, worse_adapters, blocks=3, stop={"trials": 40})
    one.run()
    blocks = blocks_of(one)
    own = [planned for planned in one.plan().trials if planned.trial.kind == "trial"]
    assert len(own) == 40
    assert len(blocks) >= 40 // 2 - 3  # half of the budget is for new configs, but for three early repeats
    methods = {planned.trial.config.config_id: planned.trial.method for planned in own}
    assert all(number == 1 for name, number in blocks.items() if methods[name] != "full")
    assert sum(number == 3 for number in blocks.values()) >= 5
    assert sum(number == 2 for number in blocks.values()) <= 3
    assert {planned.trial.config.seed for planned in own if blocks[planned.trial.config.config_id] == 1} == {0}
    anchors = [planned.trial.config.seed for planned in one.plan().trials if planned.trial.kind == "anchor"]
    assert anchors == [0, 1, 2]


def test_with_one_block_nothing_is_repeated(tmp_path: Path) -> None:
    one = driver(tmp_path, stop={"trials": 12})
    one.run()
    assert len(blocks_of(one)) == 12


@pytest.mark.parametrize("slots", [3, 8])
def test_trials_side_by_side_are_no_duplicates_and_end(tmp_path: Path, slots: int) -> None:
    one = driver(tmp_path, blocks=2, stop={"trials": 30})
    one.run(slots=slots)
    assert one.reason == "30 trials, as asked"
    started = [planned.trial.id for planned in one.started]
    assert len(started) == len(set(started)) == 30 + 2


def test_a_finite_space_ends_with_its_last_config_and_says_so(tmp_path: Path) -> None:
    space = {"method": ["full", "lora"], "rank": [2, 4], "timeline": ["finetune", "ema"], "w": [0.5, 0.8]}
    one = driver(
        tmp_path, spaces=[space], stop={"trials": 400}, fixed={"tasks": 2, "steps": 1, "batch_size": 16, "lr": 1e-3}
    )
    one.run()
    assert one.reason == "all 9 configs of the space are known"
    assert len(blocks_of(one)) == 9
    assert len(one.started) == 10
    suggestions = one.file.read().suggested
    assert len(suggestions) > 9  # some came twice, and were answered at once
    assert len(suggestions) < 9 * 11


def test_budgets_of_mafs_and_hours_end_a_search(tmp_path: Path) -> None:
    hours = driver(tmp_path / "hours", stop={"hours": 10})
    hours.run()
    assert hours.reason == "10 hours, as asked"
    assert len(blocks_of(hours)) == 10  # two updates of half an hour each
    mafs = driver(tmp_path / "mafs", stop={"mafs": 8e9})
    mafs.run()
    own = [planned for planned in mafs.started if planned.trial.kind == "trial"]
    spent = [passes(planned) * cost_of(planned).mafs for planned in own]
    assert sum(spent[:-1]) < 8e9 <= sum(spent)


def test_a_plateau_ends_a_search(tmp_path: Path) -> None:
    flat = driver(tmp_path, lambda _, task: (0.3 + 0.1 * task, 0.8), stop={"hypervolume_plateau": {"trials": 4}})
    flat.run()
    assert flat.reason == "4 configs in a row added no more than 0"
    assert len(blocks_of(flat)) == 5


def test_gains_below_the_line_that_rise_are_no_plateau(tmp_path: Path) -> None:
    """The frontier moves up with every config, always below the line from (0.3, 0.84) to the joint point."""
    own: list[str] = []

    def rising(planned: PlannedTrial, task: int) -> tuple[float, float]:
        if task == 0 or planned.trial.kind == "anchor":
            return scores(planned, task)
        if planned.trial.id not in own:
            own.append(planned.trial.id)
        return 0.4, 0.5 + 0.01 * own.index(planned.trial.id)

    stop = {"trials": 12, "hypervolume_plateau": {"trials": 2}}
    one = driver(tmp_path, rising, objectives=["aka", "gain"], stop=stop)
    one.run()
    assert one.reason == "12 trials, as asked"


def test_a_search_that_is_asked_for_more_goes_on_as_if_it_had_been_asked_at_once(tmp_path: Path) -> None:
    whole = driver(tmp_path / "whole", stop={"trials": 16})
    whole.run()
    part = driver(tmp_path / "part", stop={"trials": 9})
    part.run()
    assert not part.plan().is_open
    part.definition = whole.definition
    assert part.plan().is_open
    part.run()
    assert part.configs() == whole.configs()


def test_a_changed_definition_keeps_what_still_means_the_same(tmp_path: Path) -> None:
    one = driver(tmp_path, stop={"trials": 6})
    one.run()
    narrower = driver(
        tmp_path, spaces=[{**SPACES[0], "lr": {"low": 1e-3, "high": 1e-2}}], stop={"trials": 8}, store=one.store
    )
    narrower.run()
    assert narrower.configs()[:6] == one.configs()[:6]
    assert all(float(str(values["lr"])) >= 1e-3 for values in narrower.configs()[6:])
    other = driver(tmp_path, stop={"trials": 6}, fixed={"tasks": 2, "steps": 3, "batch_size": 16}, store=one.store)
    assert not [planned for planned in other.plan().trials if planned.trial.kind == "trial"]


def test_what_the_store_holds_is_told_at_once(tmp_path: Path) -> None:
    one = driver(tmp_path / "one", stop={"trials": 8})
    one.run()
    again = driver(tmp_path / "again", stop={"trials": 8}, store=one.store)
    again.run()
    assert again.configs() == one.configs()
    assert again.started == []


def test_refused_configs_stay_out_also_when_they_are_asked_for_again(tmp_path: Path) -> None:
    """Two configs of full fine-tuning that cost too much, and two of LoRA: all are known in the end."""
    space = [{"method": ["full", "lora"], "rank": 4, "lr": [1e-3, 3e-3]}]
    one = driver(tmp_path, spaces=space, constraints={"cost_mafs": 8e8})
    one.run()
    assert one.reason == "all 4 configs of the space are known"
    suggestions = one.file.read().suggested
    assert len({suggestion.config for suggestion in suggestions}) == 4 < len(suggestions)
    assert {planned.trial.method for planned in one.plan().trials if planned.trial.kind == "trial"} == {"lora"}
    one.started.clear()
    one.run()
    assert one.started == []


def test_failed_trials_are_told_and_asked_around(tmp_path: Path) -> None:
    def failing(planned: PlannedTrial, task: int) -> tuple[float, float] | None:
        return None if planned.trial.method == "vera" and task else scores(planned, task)

    one = driver(tmp_path, failing, blocks=2, stop={"trials": 24})
    one.run()
    assert one.reason == "24 trials, as asked"
    methods = {planned.trial.config.config_id: planned.trial.method for planned in one.started}
    assert "vera" in methods.values()
    assert all(number == 1 for name, number in blocks_of(one).items() if methods[name] == "vera")


class Outage:
    """While it is on, some trials fail."""

    def __init__(self, hits: Callable[[PlannedTrial], bool] = lambda _: True) -> None:
        self.is_on, self._hits = True, hits

    def __call__(self, planned: PlannedTrial, task: int) -> tuple[float, float] | None:
        return None if self.is_on and self._hits(planned) and task else scores(planned, task)


FAILED = "10 configs in a row failed; mend what failed or leave it out of search.spaces, and run it again"


STOPS: list[dict[str, object]] = [{"trials": 16}, {"hours": 16}, {"hypervolume_plateau": {"trials": 6}}]


@pytest.mark.parametrize(
    ("slots", "stop"),
    [
        *((1, stop) for stop in STOPS),
        (3, STOPS[0]),
        *(pytest.param(3, stop, marks=pytest.mark.thorough) for stop in STOPS[1:]),
    ],
)
def test_an_outage_ends_a_search_until_it_is_run_again(tmp_path: Path, slots: int, stop: dict[str, object]) -> None:
    """It asks for no more than it would have asked for at random, so that nothing is lost."""
    whole = driver(tmp_path / "whole", stop=stop)
    whole.run()
    outage = Outage()
    one = driver(tmp_path / "one", outage, stop=stop)
    for _ in range(3):
        one.run(slots=slots)
        assert one.reason == FAILED
        assert FAILURES <= len(one.configs()) < FAILURES + slots
    outage.is_on = False
    one.run()
    assert one.reason == whole.reason
    assert one.configs()[:FAILURES] == whole.configs()[:FAILURES]
    assert slots > 1 or one.configs() == whole.configs()


def test_failures_between_successes_end_no_search_also_when_all_run_again(tmp_path: Path) -> None:
    one = driver(tmp_path, Outage(lambda planned: random.Random(planned.trial.id).random() < 0.4), stop={"trials": 40})
    one.run()
    for trials in (40, 44):
        one.started.clear()
        one.definition = driver(tmp_path, stop={"trials": trials}).definition
        one.run()
        assert len(one.started) > FAILURES
        assert one.reason == f"{trials} trials, as asked"


def test_a_space_without_what_failed_is_searched(tmp_path: Path) -> None:
    one = driver(tmp_path, Outage(lambda planned: planned.trial.method != "full"), spaces=SPACES[1:], stop={"hours": 3})
    one.run()
    assert one.reason == FAILED
    one.definition = driver(tmp_path, spaces=SPACES[:1], stop={"hours": 3}).definition
    one.run()
    assert one.reason == "3 hours, as asked"


def test_an_anchor_that_failed_once_ends_no_search_for_good(tmp_path: Path) -> None:
    outage = Outage(lambda planned: planned.trial.kind == "anchor")
    one = driver(tmp_path, outage, objectives="gain", stop={"trials": 6})
    one.run()
    assert one.reason is not None
    assert one.reason.startswith("there is no gain, since joint training failed or learned nothing; say `joint:")
    outage.is_on = False
    one.run(most_tasks=1)  # the anchor alone, and then nothing is left that would have to run again
    assert one.plan().is_open
    one.run()
    assert one.reason == "6 trials, as asked"


@pytest.mark.parametrize(
    "changed",
    [
        {"joint": {"lr": 3e-3}},
        {"budget": {"steps_per_task": 2}},
        {"lr_scaling": {"rule": "linear", "batch_size": 32}},
        {"subset": {"share": 0.5}},
        {"early_stopping": {"at": [1]}},
        {"blocks": 2},
    ],
)
def test_a_search_with_other_trials_is_another_request(changed: dict[str, object]) -> None:
    search = {"spaces": SPACES, "stop": {"trials": 6}}
    assert search_digest(definition(search=search, **changed)) != search_digest(definition(search=search))


def test_a_search_that_asks_for_no_more_configs_does_so_after_a_kill(tmp_path: Path) -> None:
    """Four configs of LoRA may run; all others cost too much."""
    spaces = [{"method": "full", "lr": RATE}, {"method": "lora", "rank": [2, 4], "lr": [1e-3, 3e-3]}]
    settings = {"spaces": spaces, "constraints": {"cost_mafs": 8e8}, "stop": {"trials": 400}, "sampler": "random"}
    whole = driver(tmp_path / "whole", blocks=3, **settings)
    whole.run()
    assert whole.reason == "100 suggestions in a row brought no new config that may run with cost_mafs at most 8e+08"
    assert len(whole.started) > 4 + 1
    killed = driver(tmp_path / "killed", blocks=3, **settings)
    killed.run(most_tasks=whole.tasks - 1)
    killed.run()
    assert killed.file.read() == whole.file.read()


def test_a_config_that_costs_too_much_is_not_run(tmp_path: Path) -> None:
    """LoRA costs about half of full fine-tuning."""
    one = driver(tmp_path, stop={"trials": 10}, constraints={"cost_mafs": 8e8})
    one.run()
    assert {planned.trial.method for planned in one.started if planned.trial.kind == "trial"} <= {"lora", "vera"}
    refused = [suggestion for suggestion in one.file.read().suggested if suggestion.refused]
    assert refused
    assert refused[0].refused["cost_mafs"] == pytest.approx(1168158720 / 8e8 - 1)
    assert {suggestion.config for suggestion in refused}.isdisjoint(blocks_of(one))
    impossible = driver(tmp_path / "none", stop={"trials": 10}, constraints={"cost_mafs": 1.0})
    impossible.run()
    assert impossible.reason == "100 suggestions in a row brought no new config that may run with cost_mafs at most 1"


def test_a_config_that_forgets_too_much_is_not_repeated(tmp_path: Path) -> None:
    one = driver(tmp_path, blocks=2, stop={"trials": 30}, constraints={"retention_loss": 0.01})
    one.run()
    blocks = blocks_of(one)
    for planned in one.started:
        if planned.trial.kind == "trial" and planned.trial.config.seed == 0:
            lost = 0.84 - scores(planned, 2)[1]
            assert lost <= 0.01 or blocks[planned.trial.config.config_id] == 1


def test_gain_needs_the_anchors_first_and_a_line(tmp_path: Path) -> None:
    one = driver(tmp_path / "one", blocks=2, objectives="gain", stop={"trials": 16})
    one.run()
    assert one.reason == "16 trials, as asked"
    assert one.started[0].trial.kind == "anchor"
    flat = driver(
        tmp_path / "flat",
        lambda planned, task: (0.3, 0.8) if planned.trial.kind == "anchor" else scores(planned, task),
        objectives="gain",
        stop={"trials": 16},
    )
    flat.run()
    assert flat.reason is not None
    assert flat.reason.startswith("there is no gain, since joint training failed or learned nothing")
    assert len(flat.started) == 1


def test_a_search_stops_trials_early_and_does_not_repeat_them(tmp_path: Path) -> None:
    one = driver(tmp_path, blocks=2, stop={"trials": 30}, early_stopping={"at": [1]})
    one.run()
    assert one.stopped
    blocks = blocks_of(one)
    stopped = [planned for planned in one.plan().trials if planned.is_stopped]
    assert {planned.trial.id for planned in stopped} == set(one.stopped)
    assert all(blocks[planned.trial.config.config_id] == 1 for planned in stopped if planned.trial.config.seed == 0)


def test_a_config_that_was_stopped_is_not_started_on_another_first_block(tmp_path: Path) -> None:
    search = {"first_blocks": 2, "stop": {"trials": 40}, "early_stopping": {"at": [1]}}
    one = driver(tmp_path, blocks=2, **search)
    one.run()
    stopped = {name for name, task in one.stopped.items() if task}
    left_out = one.stopped.keys() - stopped
    assert stopped
    assert left_out
    assert left_out.isdisjoint(planned.trial.id for planned in one.started)
    ends = {planned.trial.id: planned.steps[-1].task for planned in one.plan().trials if planned.is_stopped}
    assert ends == one.stopped
    one.started.clear()
    one.run()
    assert one.started == []


class Counting(MemoryStore):
    """Counts the records of updates that are asked for."""

    read = 0

    def get(self, kind: Kind, key: str) -> bytes | None:
        self.read += kind == "records"
        return super().get(kind, key)


def test_records_are_read_once_when_their_trial_has_ended(tmp_path: Path) -> None:
    store = Counting()
    one = driver(tmp_path, store=store, stop={"hours": 12})
    one.run(slots=4)
    assert one.reason == "12 hours, as asked"
    own = {key for planned in one.started if planned.trial.kind == "trial" for key in planned.updates}
    assert store.read <= len(own)


@pytest.mark.parametrize(("trials", "bound"), [(5, 6), (4, 5)])
def test_the_last_config_runs_on_all_first_blocks_and_a_plan_says_so(tmp_path: Path, trials: int, bound: int) -> None:
    one = driver(tmp_path, blocks=2, first_blocks=2, stop={"trials": trials})
    one.run()
    own = [planned for planned in one.started if planned.trial.kind == "trial"]
    assert trials <= len(own) <= bound == most_trials(one.definition, None)
    assert most_trials(one.definition, 2) == 4


def test_methods_are_those_of_the_space_and_of_the_joint_anchor(tmp_path: Path) -> None:
    source = driver(tmp_path, spaces=SPACES[1:]).source()
    assert isinstance(source, SearchSource)
    assert source.methods == {"full", "lora", "vera"}
    assert not source.is_done
    assert not stored_keys(driver(tmp_path).store).updates
