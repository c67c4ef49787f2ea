"""Next trials: what is recommended and why, refusals, and a loop of trials and advice that beats chance."""

from collections.abc import Callable

import numpy as np
import pytest

from analysis import pareto
from analysis.advice.recommend import Advice, Recommendation, recommend
from analysis.advice.repeats import undecided
from analysis.configs import short
from analysis.frontier import Frontier
from tests.analysis.curves import JOINT, ZERO_SHOT, Axes, place, study_of
from tests.analysis.worlds import World, frames, frontier_of

LOW, DECADES = 1e-5, 3.0


def number(axes: Axes, name: str) -> float:
    value = axes[name]
    assert isinstance(value, int | float)
    return float(value)


def at(axes: Axes) -> tuple[float, float]:
    """Place of the learning rate in its range, and w."""
    return float(np.log10(number(axes, "lr") / LOW)) / DECADES, number(axes, "w")


def hill(axes: Axes) -> tuple[float, float]:
    """Gains have an optimum inside the range."""
    z, w = at(axes)
    lift = -3 + 6 * np.exp(-(((z - 0.7) / 0.18) ** 2) - ((w - 0.6) / 0.22) ** 2)
    return place(0.2 + 0.7 * z - 0.3 * w, float(lift) / 100)


def ridge(axes: Axes) -> tuple[float, float]:
    """The best learning rate depends on w."""
    z, w = at(axes)
    lift = -2.5 + 5 * np.exp(-(((z - 0.35 - 0.5 * (w - 0.4)) / 0.15) ** 2))
    return place(0.15 + 0.75 * z - 0.3 * w, float(lift) / 100)


def dome(axes: Axes) -> tuple[float, float]:
    """A gentle hill, as wide as the range, with its top between tested values."""
    z, w = at(axes)
    return place(0.2 + 0.6 * z - 0.3 * w, (2.5 - 8 * (z - 0.73) ** 2 - 6 * (w - 0.62) ** 2) / 100)


def merged(z: float, w: float) -> Axes:
    return {"timeline": "ema", "rule": "lerp", "w": round(w, 2), "lr": float(f"{LOW * 10 ** (DECADES * z):.2g}")}


GRID = [merged(z, w) for z in (0.0, 0.5, 1.0) for w in (0.2, 0.5, 0.8)]


def of(found: Recommendation, kind: str) -> list[Advice]:
    return [item for item in found.items if item.kind == kind]


@pytest.fixture(scope="module")
def quiet() -> Frontier:
    return study_of(GRID, dome, noise_sd=0.0005)


def test_the_optimum_between_tested_values_is_found(quiet: Frontier) -> None:
    """The top is at z = 0.73 and w = 0.62; the nearest untested middles are z = 0.75 and w = 0.65."""
    found = recommend(quiet)
    best = of(found, "new")[0]
    assert best.axes is not None
    assert best.point is not None
    assert best.sd is not None
    z, w = at(best.axes)
    assert 0.7 < z < 0.8
    assert 0.5 <= w <= 0.65
    assert not of(found, "stop")
    truth = dome(best.axes)
    assert all(abs(p - t) < 3 * s for p, t, s in zip(best.point, truth, best.sd, strict=True))
    assert best.label == f"full fine-tuning, EMA-merge, w {w:g}, lr {short(best.axes['lr'])}"
    assert best.trials == 3
    assert "between tested values of" in best.reason


def test_new_configs_differ_and_gain_less_and_less_for_their_cost(quiet: Frontier) -> None:
    found = recommend(quiet)
    new = of(found, "new")
    assert len({(one.axes["w"], one.axes["lr"]) for one in new if one.axes is not None}) == len(new) > 1
    tested = {(axes["w"], axes["lr"]) for axes in GRID}
    assert not tested & {(one.axes["w"], one.axes["lr"]) for one in new if one.axes is not None}
    worth = [one.expected_gain / one.cost for one in found.items]
    assert worth == sorted(worth, reverse=True)


def test_the_first_gain_is_an_area(quiet: Frontier) -> None:
    """With what comes true as predicted, the hull's area grows by about as much as was expected."""
    best = of(recommend(quiet), "new")[0]
    assert best.axes is not None
    assert best.point is not None
    more = study_of([*GRID, {name: best.axes[name] for name in GRID[0]}], dome, noise_sd=0.0005)
    before, after = recommend(quiet).area, recommend(more).area
    assert before is not None
    assert after is not None
    assert 0.3 < (after.value - before.value) / best.expected_gain < 3


def test_a_cheap_config_goes_first() -> None:
    """Two methods of equal merit, one at a tenth of the price."""
    both: list[Axes] = [{**axes, "method": method} for axes in GRID for method in ("full", "bitfit")]
    cheap = study_of(both, dome, noise_sd=0.0005, cost=lambda axes: 0.1 if axes["method"] == "bitfit" else 1.0)
    found = recommend(cheap)
    best = of(found, "new")[0]
    assert best.axes is not None
    assert best.axes["method"] == "bitfit"
    assert best.cost == pytest.approx(0.3)
    assert found.cost_unit == "MAFs"


def test_the_cost_is_that_of_the_nearest_config() -> None:
    steps: list[Axes] = [{**axes, "steps": steps} for axes in GRID for steps in (10, 40)]
    found = recommend(study_of(steps, dome, noise_sd=0.0005, cost=lambda axes: number(axes, "steps")))
    for one in of(found, "new"):
        assert one.axes is not None
        assert any(one.cost == pytest.approx(3 * cost) for cost in (10, 25, 40))
        if number(one.axes, "steps") in (10, 40):
            assert one.cost == pytest.approx(3 * number(one.axes, "steps"))


def test_two_equal_configs_are_repeated() -> None:
    """A tie at the top is open; what lies far below is not."""

    def tie(axes: Axes) -> tuple[float, float]:
        return {1e-5: place(0.4, -0.05), 1e-4: place(0.5, 0.02), 1e-3: place(0.505, 0.02)}[number(axes, "lr")]

    study = study_of([{"lr": lr} for lr in (1e-5, 1e-4, 1e-3)], tie, blocks=5, noise_sd=0.004, seed=1)
    repeats = of(recommend(study), "repeat")
    assert repeats
    labels = {one.label for one in repeats}
    assert not any("1e-5" in label for label in labels)
    for one in repeats:
        assert one.result is not None
        assert one.probability is not None
        assert 0.2 < one.probability < 0.8
        assert one.trials == 1
        assert "is open" in one.reason


def test_a_repeat_is_worth_more_where_noise_is_larger() -> None:
    study = study_of([{"lr": lr} for lr in (1e-4, 1e-3)], lambda _: place(0.5, 0.02), noise_sd=0.004, seed=1)
    means = np.array([result.point for result in study.results])
    quiet, loud = ([one.expected_gain for one in undecided(study, means, np.full(2, sd**2))] for sd in (0.0005, 0.004))
    assert quiet
    assert all(0 <= a < b for a, b in zip(quiet, loud, strict=True))


def test_stop_when_noise_hides_what_is_left() -> None:
    """Loud and dense: nothing between the configs could be seen."""
    dense = [merged(z, w) for z in np.linspace(0, 1, 5) for w in np.linspace(0.2, 0.8, 5)]
    found = recommend(study_of(dense, ridge, noise_sd=0.02, blocks=3))
    assert found.items[0].kind == "stop"
    assert found.area is not None
    assert found.area.se is not None
    assert all(item.expected_gain < found.area.se for item in found.items)


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        (study_of(GRID, hill, blocks=1), "one block"),
        (study_of(GRID[:1], hill), "one config"),
        (study_of(GRID, hill, joint=False), "joint"),
        (study_of([{**axes, "dataset": f"new{i % 2}"} for i, axes in enumerate(GRID)], hill), "different data sets"),
    ],
)
def test_no_advice(study: Frontier, reason: str) -> None:
    found = recommend(study)
    assert not found.items
    assert found.area is None
    (refused,) = found.refused
    assert refused.scope == "all configs"
    assert reason in refused.reason


def test_a_config_that_broke_does_not_make_all_others_uncertain() -> None:
    """The largest learning rate destroys the model; gains that are expected stay of the size of the box."""

    def broken(axes: Axes) -> tuple[float, float]:
        return (0.02, 0.1) if at(axes)[0] > 0.99 else dome(axes)

    more = [merged(z, w) for z in (0.0, 0.25, 0.5, 0.75, 1.0) for w in (0.2, 0.5, 0.8)]
    best = of(recommend(study_of(more, broken, noise_sd=0.0005)), "new")[0]
    assert best.sd is not None
    assert best.sd[1] < 0.1
    assert best.expected_gain < 0.3


def test_surfaces_that_predict_nothing_give_no_advice() -> None:
    for seed in range(4):
        flat = recommend(study_of(GRID, lambda _: place(0.5, 0.01), noise_sd=0.003, seed=seed))
        assert not of(flat, "new")
        assert not of(flat, "stop")
        (refused,) = flat.refused
        assert refused.reason == "its surfaces predict left-out configs hardly better than a mean does"


def test_groups_without_advice_say_why() -> None:
    rules: list[Axes] = [{"timeline": "offline", "rule": rule, "lr": 1e-3} for rule in "abcdef"]
    few: list[Axes] = [{"method": "bitfit", "lr": lr} for lr in (1e-4, 1e-3)]
    neighbours: list[Axes] = [{"method": "lora", "rank": rank, "rule": rule} for rank in (2, 3) for rule in "abc"]

    def by_rank(axes: Axes) -> tuple[float, float]:
        return place(0.3 if axes.get("rank") == 2 else 0.5, 0.02 if axes.get("rank") == 2 else 0.0)

    found = recommend(study_of([*rules, *few, *neighbours], by_rank, noise_sd=0.0005))
    assert {one.scope: one.reason for one in found.refused} == {
        "full fine-tuning, offline merge": "no number varies among its configs, so there is nothing between them",
        "BitFit, no merging": "2 configs; at least 6 are needed to predict others",
        "LoRA, no merging": "all configs between the tested ones are tested",
    }
    assert not of(found, "new")


def test_models_say_how_good_they_are() -> None:
    (model,) = recommend(study_of([merged(z / 5, w / 5) for z in range(6) for w in range(1, 5)], hill)).models
    assert model.configs == 24
    assert min(model.coverage) >= 0.9
    assert model.inflation == (1.0, 1.0)
    assert min(model.r2) > 0.7


def test_too_sure_surfaces_are_made_less_so() -> None:
    """Rare jumps on a grid are no surface: the intervals are widened until nine of ten left-out configs lie inside."""
    rng = np.random.default_rng(0)
    grid = [merged(z / 6, w / 7) for z in range(7) for w in range(1, 7)]
    jumps = {(axes["lr"], axes["w"]): 0.06 * float(rng.random() < 0.12) for axes in grid}
    study = study_of(grid, lambda axes: place(0.5, jumps[axes["lr"], axes["w"]]), noise_sd=1e-4)
    (model,) = recommend(study).models
    assert model.coverage[1] < 0.9
    assert model.inflation[1] > 1
    assert all((share >= 0.9) == (by == 1.0) for share, by in zip(model.coverage, model.inflation, strict=True))


def test_it_is_deterministic_and_changes_nothing() -> None:
    study = frontier_of(frames(World(tasks=1)))
    x = study.points.x.copy()
    one = recommend(study)
    assert recommend(study) == one
    assert (study.points.x == x).all()
    assert {refused.scope for refused in one.refused} == {"full fine-tuning, no merging"}


# -- the closed loop ---------------------------------------------------------------------------------------------------


def area(points: list[tuple[float, float]]) -> float:
    x, y = np.array([*points, ZERO_SHOT]).T
    return pareto.hull_area(x, y, reference=(ZERO_SHOT[0], JOINT[1] - 0.04))


def draw(rng: np.random.Generator) -> Axes:
    return merged(rng.random(), 0.1 + 0.85 * rng.random())


def loop(world: Callable[[Axes], tuple[float, float]], *, seed: int, advised: bool) -> float:
    """Regret after 16 configs, in shares of what could be gained: 4 corners, 4 at random, then 8 one by one.

    Noise of 0.3 points in each config's mean over two blocks.
    """
    rng = np.random.default_rng(seed)
    tested = [*(merged(z, w) for z in (0.0, 1.0) for w in (0.1, 0.95)), *(draw(rng) for _ in range(4))]
    while len(tested) < 16:
        if advised:
            study = study_of(tested, world, blocks=2, noise_sd=0.003 * np.sqrt(2), seed=1000 * seed + len(tested))
            best = next((item.axes for item in recommend(study).items if item.kind == "new"), None)
            tested.append({name: best[name] for name in tested[0]} if best is not None else draw(rng))
        else:
            tested.append(draw(rng))
    best_area = area([world(merged(z, 0.1 + 0.85 * v)) for z in np.linspace(0, 1, 31) for v in np.linspace(0, 1, 31)])
    return (best_area - area([world(axes) for axes in tested])) / (best_area - area([]))


@pytest.mark.slow
@pytest.mark.parametrize("world", [hill, pytest.param(ridge, marks=pytest.mark.thorough)])
def test_advice_beats_chance(world: Callable[[Axes], tuple[float, float]]) -> None:
    """Four runs each: less than two thirds of the regret of random search after 16 configs."""
    advised, chance = (np.array([loop(world, seed=s, advised=a) for s in range(4)]) for a in (True, False))
    assert advised.mean() < 0.67 * chance.mean()
