"""Studies of recommended trials: `retune run` accepts them, and plans just what was recommended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from analysis.advice.next_study import extended_study, recommended_study
from analysis.advice.recommend import Advice, Kind
from analysis.configs import Config, configs_of
from analysis.surfaces.candidates import candidates, groups
from analysis.surfaces.encoding import axes_of
from analysis.tables.column_roles import roles_of_schema
from search_spaces.space import axis_values
from study.definition.files import dump, load, presets
from study.definition.study import StudyDefinition
from study.planning.trials import Trial, trials
from study.results.tables import TRIALS

GRIDS = [name for name in presets() if load(name)[0].grid is not None]
ROLES = roles_of_schema(TRIALS)
SCALED = """
name: scaled
workload: {name: pocket, pool: 512}
fixed: {tasks: 3, steps: 4, batch_size: 48, rank: 4}
lr_scaling: {rule: sqrt, batch_size: 128}
grid:
  - {method: [joint, full], lr: [1e-3, 3e-3], timeline: [ema], w: [0.5, 0.9], schedule: rsqrt}
  - {method: lora, lr: [1e-3, 3e-3, 7e-3], batch_size: [48, 96]}
blocks: [{seed: 0, order: 0}, {seed: 4, order: 1}]
"""
BUDGET = """
name: budget
workload: {name: pocket, pool: 512}
fixed: {tasks: 3, batch_size: 32}
budget: {steps_per_task: 4}
grid:
  - {method: lora, rank: [2, 16], lr: [1e-3, 1e-2], timeline: [finetune, ema], w: 0.5}
blocks: 2
"""


def table(planned: Sequence[Trial]) -> tuple[Config, ...]:
    """Configs as the analysis reads them from the trials table."""
    rows = [
        {"trial": one.id, "kind": one.kind, "config_id": one.config.config_id, "block": one.config.block}
        | {"seed": one.config.seed, "order": one.config.order, **axis_values(one.config)}
        | {"method": one.method, "status": "done"}
        for one in planned
    ]
    frame = pa.Table.from_pylist(rows, schema=TRIALS).to_pandas()
    return configs_of(frame[frame["kind"] == "trial"], ROLES)


def advice(kind: Kind, configs: Sequence[Any]) -> list[Advice]:
    return [Advice(kind=kind, label="", expected_gain=0.0, reason="", axes=axes) for axes in configs]


def between(configs: Sequence[Config]) -> list[Any]:
    """The first candidates of every group that has any."""
    found: list[Any] = []
    for rows in groups(configs).values():
        members = [configs[row] for row in rows]
        found += candidates(axes_of(members), members, seed=0)[:3]
    return found


def original(name: str, folder: Path) -> StudyDefinition:
    if name in ("scaled", "budget"):
        (folder / f"{name}.yaml").write_text(SCALED if name == "scaled" else BUDGET)
        name = str(folder / f"{name}.yaml")
    return load(name)[0]


def reread(found: dict[str, Any], folder: Path) -> tuple[StudyDefinition, tuple[Trial, ...]]:
    path = folder / "next.yaml"
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    definition, source = load(str(path))
    return definition, trials(definition, source)


def ids(planned: Sequence[Trial], kind: str) -> set[str]:
    return {one.config.config_id for one in planned if one.kind == kind and one.method != "zeroshot"}


@pytest.mark.parametrize("name", [*GRIDS, "scaled", "budget"])
def test_repeats_are_the_configs_that_were_tested(name: str, tmp_path: Path) -> None:
    """All configs of a study, written anew from its table: nothing is trained twice, and one block is new."""
    definition = original(name, tmp_path)
    before = trials(definition, name)
    tested = table(before)
    written = yaml.safe_load(dump(definition))
    kept = yaml.safe_dump(written)
    repeats = advice("repeat", [config.axes for config in reversed(tested)])
    found = recommended_study(written, repeats, tested=tested, roles=ROLES)
    after_definition, after = reread(found, tmp_path)
    assert yaml.safe_dump(written) == kept
    assert ids(after, "trial") == ids(before, "trial")
    assert ids(after, "anchor") == ids(before, "anchor")
    assert set(definition.blocks) < set(after_definition.blocks)
    assert len(after_definition.blocks) == len(definition.blocks) + 1
    assert {one.id for one in before if one.method != "zeroshot"} < {one.id for one in after}


@pytest.mark.parametrize("name", [*GRIDS, "scaled", "budget"])
def test_new_configs_are_the_recommended_ones(name: str, tmp_path: Path) -> None:
    definition = original(name, tmp_path)
    before = trials(definition, name)
    tested = table(before)
    wanted = between(tested)
    if name in ("datasets", "orderings", "smoke"):  # nothing lies between their configs
        assert not wanted
        return
    written = yaml.safe_load(dump(definition))
    after_definition, after = reread(
        recommended_study(written, advice("new", wanted), tested=tested, roles=ROLES), tmp_path
    )
    assert after_definition.blocks == definition.blocks
    assert ids(after, "anchor") == ids(before, "anchor")
    assert not ids(after, "trial") & ids(before, "trial")
    planned = [config.axes for config in table(after)]
    assert len(planned) == len(wanted)
    for axes in wanted:
        assert any(all(same(one.get(name), value) for name, value in axes.items()) for one in planned)

    extended = extended_study(written, [*advice("new", wanted), *advice("repeat", [tested[0].axes])], roles=ROLES)
    _, both = reread(extended, tmp_path)
    assert ids(both, "trial") == ids(before, "trial") | ids(after, "trial")
    assert ids(both, "anchor") == ids(before, "anchor")


def same(one: object, other: object) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one == pytest.approx(other, rel=1e-9)
    return one == other


def test_each_single_config_of_a_study_can_be_run_alone(tmp_path: Path) -> None:
    """Whatever the first config of the new grid is, the joint anchor stays the old one, and fixed axes apply."""
    definition = original("scaled", tmp_path)
    before = trials(definition, "scaled")
    tested = table(before)
    for config in tested:
        items = advice("repeat", [config.axes])
        _, after = reread(
            recommended_study(yaml.safe_load(dump(definition)), items, tested=tested, roles=ROLES), tmp_path
        )
        assert ids(after, "trial") == {config.config_id}
        assert ids(after, "anchor") == ids(before, "anchor")


def test_advice_to_stop_is_no_study() -> None:
    with pytest.raises(ValueError, match="no trials to run"):
        recommended_study(
            {"grid": []}, [Advice(kind="stop", label="", expected_gain=0.0, reason="")], tested=(), roles=ROLES
        )
