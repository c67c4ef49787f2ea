"""Names of results stay as they were recorded, case by case, so that what a store holds stays found.

That holds when the version is raised, too: the results of folders without a ledger are found by names made anew.
"""

import json
from pathlib import Path

import pytest

from search_spaces.space import AXES
from tests.trainables import golden_keys
from tests.trainables.golden_keys import COMMAND, FILE, KNOWN, NUMERICS, SETTINGS, append, digests, orphaned, recorded
from tests.trainables.toys import IDENTITY, trial
from trainables.lineages import Lineages
from trainables.nodes import UNMARKED_VERSION, cost_key, scores_key


@pytest.fixture(scope="module")
def now() -> dict[str, str]:
    return digests()


def test_stored_results_stay_found(now: dict[str, str]) -> None:
    lost = orphaned(recorded(), now)
    assert not lost, (
        "results in stores would be orphaned: nothing finds them any more, and all is trained again. Leave names and "
        "the texts behind them alone, and name new fields in `Frozen.later`; where numbers really move, raise "
        "NUMERICS_VERSION instead.\n" + "\n".join(lost)
    )


def test_every_row_of_the_tables_is_recorded(now: dict[str, str]) -> None:
    missing = sorted(now.keys() - recorded().keys())
    assert not missing, f"not recorded yet: {', '.join(missing)}; add them to {FILE.name} by: {COMMAND}"


def test_every_axis_has_a_case() -> None:
    missing = sorted(AXES.keys() - SETTINGS.keys())
    assert not missing, f"give each of them a value in SETTINGS of {golden_keys.__name__}: {', '.join(missing)}"


def test_names_are_the_same_planned_alone_or_beside_others(now: dict[str, str]) -> None:
    assert digests(lineages=Lineages(KNOWN, NUMERICS)) == now


def test_whole_keys() -> None:
    """These are names under `UNMARKED_VERSION`, which stay whatever NUMERICS_VERSION is."""
    lineages = Lineages(IDENTITY, UNMARKED_VERSION)
    ema = list(lineages.of(trial(timeline="ema", w=0.9, tasks=2), (0.5,)))[-1]
    lora = list(lineages.of(trial(method="lora", rank=4, tasks=2, seed=1, order=2)))[-1]
    assert ema.update is not None
    got = {
        "base": lineages.base.key,
        "update": ema.update.key,
        "merge": ema.served.key,
        "inside": ema.inside[0].key,
        "lora": lora.served.key,
        "scores": scores_key(ema.served, IDENTITY.suite),
        "cost": cost_key(trial(method="lora", rank=4, batch_size=32).recipe, IDENTITY.base, UNMARKED_VERSION),
    }
    assert {name: key[:16] for name, key in got.items()} == {
        "base": "194986a048671b5b",
        "update": "4b62cb206a2ce993",
        "merge": "eb3a43a09437c3cd",
        "inside": "665677354a7de927",
        "lora": "88fe9726bba62ac0",
        "scores": "e0882f596374fcf3",
        "cost": "c00210ea6ab7d1ed",
    }


class TestRecord:
    def test_what_is_new_is_appended_and_the_rest_stays(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        assert append(file, {"rules/b": "1"}) == ["rules/b"]
        assert append(file, {"rules/b": "1", "rules/a": "2"}) == ["rules/a"]
        assert list(json.loads(file.read_text()).items()) == [("rules/a", "2"), ("rules/b", "1")]
        written = file.stat().st_mtime_ns
        assert append(file, {"rules/a": "2", "rules/b": "1"}) == []
        assert file.stat().st_mtime_ns == written

    def test_what_is_recorded_is_never_changed(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        append(file, {"rules/a": "1", "rules/b": "2", "rules/c": "3"})
        before = file.read_text()
        with pytest.raises(SystemExit) as refused:
            append(file, {"rules/a": "1", "rules/b": "9", "rules/d": "4"})
        _, *lines = str(refused.value).splitlines()
        assert lines == ["rules/b: 2 recorded, 9 now", "rules/c: gone from the tables; put it back"]
        assert file.read_text() == before
