"""The frontier of synthetic studies: known truth, incomplete studies, and what must not depend on what."""

from dataclasses import replace

import numpy as np
import pytest

from analysis import pareto
from analysis.frontier import Frontier, build_frontier, learners
from analysis.tables.loading import make_tables
from tests.analysis.worlds import KINDS, MORE_KINDS, Frames, World, frames, method_frames, truths

QUIET = World(noise_sd=0.0, block_sd=0.0, tasks=2)


def frontier_of(tables: Frames) -> Frontier:
    return build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))


@pytest.fixture(scope="module")
def study() -> Frontier:
    return frontier_of(frames(World()))


def test_without_noise_the_truth_is_found() -> None:
    found = frontier_of(frames(QUIET))
    points = {truth.config_id: truth.point for truth in truths(QUIET)}
    assert found.zero_shot.point == pytest.approx(QUIET.zero_shot)
    assert found.joint is not None
    assert found.joint.point == pytest.approx(QUIET.joint)
    for result in found.results:
        x, y = points[result.config.config_id]
        gain = float(pareto.gain(x, y, zero_shot=QUIET.zero_shot, joint=QUIET.joint))
        assert result.point == pytest.approx((x, y))
        assert result.gain is not None
        assert result.gain.value == pytest.approx(gain, abs=1e-9)
        assert result.gain.half_width == pytest.approx(0.0, abs=1e-9)


def test_results_are_numbered_by_gain(study: Frontier) -> None:
    assert [result.number for result in study.results] == list(range(1, 46))
    gains = [result.gain.value for result in study.results if result.gain is not None]
    assert gains == sorted(gains, reverse=True)
    assert study.winner is not None
    assert study.winner.result is study.results[0]


def test_pareto_set_is_brute_force_with_the_zero_shot_point(study: Frontier) -> None:
    points = [study.zero_shot.point, *(result.point for result in study.results)]
    for result in study.results:
        x, y = result.point
        beaten = any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)
        assert result.on_front == (not beaten)


def test_hull_prices_cover_all_prices(study: Frontier) -> None:
    assert study.hull[0].low == 0
    assert study.hull[-1].high is None
    assert all(a.high == b.low for a, b in zip(study.hull[:-1], study.hull[1:], strict=True))
    assert all(vertex.result is None or vertex.result.on_front for vertex in study.hull)


def test_a_config_below_the_zero_shot_point_is_not_on_the_front() -> None:
    tables = frames(
        replace(QUIET, learned={("full", None): -0.5}, base_lift=-0.2, timelines=("finetune",), rates=(1e-4,))
    )
    assert not frontier_of(tables).results[0].on_front


def test_gains_cover_the_truth() -> None:
    """Intervals of all configs over several worlds hold the true gain about 95 % of the time."""
    covered = []
    world = World(learned={("full", None): 0.8, ("lora", 2): 0.5}, rates=(1e-4,), tasks=1)
    points = {truth.config_id: truth.point for truth in truths(world)}
    for seed in range(12):
        for result in frontier_of(frames(replace(world, seed=seed))).results:
            truth = points[result.config.config_id]
            gain = float(pareto.gain(*truth, zero_shot=world.zero_shot, joint=world.joint))
            assert result.gain is not None
            assert result.gain.low is not None
            assert result.gain.high is not None
            # Block noise moves configs and J but not Z here, which adds a part that is common to all blocks' gains.
            covered.append(result.gain.low - 1e-3 <= gain <= result.gain.high + 1e-3)
    assert np.mean(covered) > 0.88


def test_the_honest_gain_of_a_method_is_scored_on_blocks_that_did_not_choose() -> None:
    found = frontier_of(frames(World(tasks=1, noise_sd=0.004)))
    assert found.samples.gain is not None
    for method in found.methods:
        gains = found.samples.gain[list(method.rows)]
        learned = found.samples.learned[list(method.rows)] if found.samples.learned is not None else None
        assert learned is not None
        honest = []
        for block in range(3):
            others = gains[:, [other for other in range(3) if other != block]].mean(axis=1)
            allowed = np.where(learned[:, block] | ~learned[:, block].any(), others, -np.inf)
            honest.append(gains[np.argmax(allowed), block])
        assert method.honest_gain is not None
        assert method.honest_gain.value == pytest.approx(np.mean(honest))
        assert method.best.gain is not None


def test_without_joint_there_is_no_gain_and_a_reason() -> None:
    found = frontier_of(frames(World(with_joint=False, tasks=1)))
    assert found.joint is None
    assert found.winner is None
    assert found.no_gain == "there is no finished joint anchor"
    assert all(result.gain is None and result.slide is None for result in found.results)
    assert all(method.honest_gain is None for method in found.methods)
    means = [result.gm.value for result in found.results]
    assert means == sorted(means, reverse=True)


def test_a_joint_point_that_learned_nothing_gives_no_gain() -> None:
    assert frontier_of(frames(replace(QUIET, joint=(0.38, 0.6)))).no_gain is not None
    noisy = frontier_of(frames(World(joint=(0.386, 0.679), noise_sd=0.01)))
    assert noisy.no_gain is not None


@pytest.mark.parametrize(("blocks", "se", "interval"), [(1, False, False), (2, True, False), (3, True, True)])
def test_few_blocks(blocks: int, se: bool, interval: bool) -> None:  # noqa: FBT001
    found = frontier_of(frames(World(blocks=blocks, tasks=1)))
    gain = found.results[0].gain
    assert gain is not None
    assert (gain.se is not None, gain.half_width is not None) == (se, interval)


def test_one_trial_is_a_study() -> None:
    world = World(
        learned={("full", None): 0.8}, timelines=("finetune",), rates=(1e-4,), blocks=1, tasks=1, with_joint=False
    )
    found = frontier_of(frames(world))
    assert len(found.results) == 1
    assert found.results[0].on_front


def test_joint_on_fewer_blocks_is_held_fixed_and_said_so() -> None:
    found = frontier_of(frames(World(joint_blocks=1, tasks=1)))
    assert found.results[0].gain is not None
    assert any("trained once" in warning for warning in found.warnings)
    assert any("held" in warning for warning in frontier_of(frames(World(joint_blocks=2, tasks=1))).warnings)


def test_order_of_rows_does_not_matter(study: Frontier) -> None:
    tables = {name: frame.sample(frac=1.0, random_state=3) for name, frame in frames(World()).items()}
    assert frontier_of(tables).results == study.results


def test_a_config_that_learned_nothing_does_not_win(study: Frontier) -> None:
    idle = [replace(study.results[0], slide=0.01), replace(study.results[1], slide=0.3), *study.results[2:4]]
    assert learners(idle)[0] == 1
    assert learners([replace(result, slide=0.05) for result in study.results[:3]]) == [0, 1, 2]
    assert learners([replace(result, slide=None) for result in study.results[:3]]) == [0, 1, 2]


def test_costs_are_shares_of_those_of_full_fine_tuning() -> None:
    methods = {method.approach: method for method in frontier_of(method_frames(QUIET)).methods}
    full = methods["full fine-tuning"]
    assert (full.relative_mafs, full.relative_wall_s) == (1.0, 1.0)
    for family, name in (("LNFit", "lnfit"), ("EWC", "ewc"), ("GaLore", "galore")):
        found = methods[family]
        cost = KINDS[name].cost
        assert found.relative_mafs == pytest.approx(min(cost, 1.0) ** 0.5 * cost**0.5)
        assert found.relative_wall_s is not None
        assert found.mean_wall_s is not None
        assert full.mean_wall_s is not None
        assert found.relative_wall_s == pytest.approx(found.mean_wall_s / full.mean_wall_s)


def test_costs_are_shares_of_full_fine_tuning_of_the_same_timeline(study: Frontier) -> None:
    shares = {(method.approach, method.timeline): method.relative_mafs for method in study.methods}
    assert {shares["full fine-tuning", timeline] for timeline in ("finetune", "ema", "zs")} == {1.0}
    assert shares["LoRA", "ema"] == pytest.approx(0.42)


def test_without_full_fine_tuning_there_are_no_shares() -> None:
    found = frontier_of(frames(replace(QUIET, learned={("lora", 2): 0.5})))
    assert {method.relative_mafs for method in found.methods} == {None}


def test_the_best_of_a_method_learned_if_any_of_it_did() -> None:
    kinds = {name: KINDS[name] for name in ("full", "lnfit")} | {"vera": replace(KINDS["vera"], slide=0.05)}
    methods = {method.approach: method for method in frontier_of(method_frames(QUIET, kinds)).methods}
    assert methods["LNFit"].learned
    assert methods["LNFit"].best.config.axes["lr"] == 1e-4
    assert not methods["VeRA"].learned
    assert methods["VeRA"].best.config.axes["lr"] == 1e-5


def test_what_is_not_trained_is_the_zero_shot_point() -> None:
    found = frontier_of(method_frames(QUIET, {name: MORE_KINDS[name] for name in ("full", "lora", "zeroshot")}))
    untrained = [result for result in found.results if not result.config.trained]
    assert len(untrained) == 3
    assert all(result.point == pytest.approx(found.zero_shot.point) for result in untrained)
    assert not any(result.on_front for result in untrained)
    assert all(vertex.result is None or vertex.result.config.trained for vertex in found.hull)
    assert found.headline.config.trained


def test_where_the_line_rises_no_beaten_config_is_chosen() -> None:
    world = replace(QUIET, joint=(0.56, 0.76), merge_lift=0.03)
    found = frontier_of(frames(world))
    assert found.winner is not None
    chosen = found.winner.result
    beaten = [r for r in found.results if r.aka.value >= chosen.aka.value and r.azs.value > chosen.azs.value]
    assert beaten == []
    assert any("the line rises" in warning for warning in found.warnings)
    for method in found.methods:
        rivals = [found.results[row] for row in method.rows]
        best = method.best
        assert not any(r.aka.value > best.aka.value and r.azs.value > best.azs.value for r in rivals)
