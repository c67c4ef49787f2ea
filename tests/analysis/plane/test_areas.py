"""Area scores: what 1 and 0.5 mean, the reference library, reasons, equal curves with unequal numbers, coverage."""

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.frontier import Frontier
from analysis.plane.areas import Areas, areas_of, box_of, hull_area, line_area, scores_of
from analysis.plane.points import Means, Points
from analysis.uncertainty import Estimate

Z, J = np.array([0.385, 0.679]), np.array([0.560, 0.625])


def exactly(plane_C2: FloatArray, *, zero_shot: FloatArray = Z, joint: FloatArray | None = J) -> Points:
    """One block without noise."""
    return Points(
        x=plane_C2[:, :1],
        y=plane_C2[:, 1:],
        zero_shot=zero_shot[np.newaxis],
        joint=None if joint is None else joint[np.newaxis],
    )


def noisy(
    plane_C2: FloatArray,
    *,
    blocks: int,
    noise: float,
    rng: np.random.Generator,
    shared: float = 0.0,
    joint_noise: float = 0.0,
) -> Points:
    """Configs with noise of their own and noise that all of a block share, and a joint point with its own."""
    shift = rng.normal(0, shared, (2, 1, blocks))
    x, y = plane_C2.T[:, :, np.newaxis] + shift + rng.normal(0, noise, (2, len(plane_C2), blocks))
    joint = J + rng.normal(0, joint_noise, (blocks, 2))
    return Points(x=x, y=y, zero_shot=np.tile(Z, (blocks, 1)), joint=joint)


def curve(share: FloatArray, *, bow: float = 0.02) -> FloatArray:
    """Points at shares of the way from Z to J, above the line by up to `bow`."""
    return np.asarray(Z + share[:, np.newaxis] * (J - Z) + np.array([0, bow]) * (4 * share * (1 - share))[:, None])


def test_the_box_ends_half_the_distance_of_the_anchors_below_joint_at_a_whole_point() -> None:
    box = box_of(exactly(curve(np.array([0.5]))).means())
    assert (box.left, box.right, box.top) == pytest.approx((0.385, 0.560, 0.679))
    assert box.bottom == 0.59  # 62.5 - 2.7 = 59.8
    assert box.area == pytest.approx(0.175 * 0.089)


@pytest.mark.parametrize(("joint_y", "bottom"), [(0.64, 0.62), (0.68, 0.67), (0.681, 0.67), (0.74, 0.65)])
def test_a_box_is_at_least_a_point_high_wherever_joint_lies(joint_y: float, bottom: float) -> None:
    means = Means(x=np.zeros(0), y=np.zeros(0), zero_shot=np.array([0.3, 0.68]), joint=np.array([0.5, joint_y]))
    assert box_of(means).bottom == pytest.approx(bottom)


def test_one_is_all_learned_and_nothing_lost_and_the_line_has_its_share() -> None:
    z, j = np.array([0.30, 0.70]), np.array([0.60, 0.60])  # y_ref = 0.55, without rounding
    points = exactly(np.array([[0.60, 0.70], [0.60, 0.60], [0.30, 0.70]]), zero_shot=z, joint=j)
    found = areas_of(points, {"ideal": [0], "joint alone": [1], "zero-shot alone": [2]})
    ideal, joint, nothing = found.methods
    assert found.line is not None
    assert found.line.value == pytest.approx(2 / 3)
    assert (ideal.hypervolume.value, ideal.hull.value) == pytest.approx((1, 1))
    assert ideal.excess.value == pytest.approx(1 / 3)
    assert joint.hypervolume.value == pytest.approx(1 / 3)
    assert joint.hull.value == pytest.approx(2 / 3)  # with the zero-shot point it is the line
    assert joint.excess.value == pytest.approx(0)
    assert (nothing.hypervolume.value, nothing.hull.value) == pytest.approx((0, 0))


def test_moocore_has_the_same_hypervolume() -> None:
    moocore = pytest.importorskip("moocore")
    rng = np.random.default_rng(0)
    plane = curve(rng.random(20)) + rng.normal(0, 0.01, (20, 2))
    found = areas_of(exactly(plane), {"all": range(20), "few": range(5)})
    assert found.box is not None
    assert found.k == 5
    for method in found.methods:
        volume = moocore.hypervolume(plane[list(method.rows)], ref=found.box.reference, maximise=True)
        assert method.hypervolume.value == pytest.approx(volume / found.box.area)


def test_points_outside_the_box_are_listed_by_row_and_count_beyond_it() -> None:
    inside, short, low = [0.45, 0.66], [0.37, 0.67], [0.50, 0.55]
    beyond, above = [0.58, 0.65], [0.42, 0.69]
    points = exactly(np.array([inside, short, low, beyond, above, Z.tolist(), J.tolist()]))
    found = areas_of(points, {"none": [0, 5, 6], "some": [4, 1, 2], "more": [3, 0]})
    assert [method.outside for method in found.methods] == [(), (4, 1, 2), (3,)]
    alone = areas_of(points, {"above": [4]}).methods[0]
    assert found.methods[1].hypervolume.value == pytest.approx(alone.hypervolume.value)
    better = areas_of(exactly(np.array([[0.60, 0.70]])), {"better than the box": [0]}).methods[0]
    assert better.hypervolume.value > 1


def test_without_a_line_there_are_reasons() -> None:
    found = areas_of(exactly(curve(np.array([0.5])), joint=None), {"one": [0]})
    assert found == Areas(box=None, k=None, line=None, methods=(), no_areas=found.no_areas)
    assert "no line" in str(found.no_areas)
    assert areas_of(exactly(curve(np.array([0.5]))), {}).no_areas == "there are no methods to compare"
    with pytest.raises(ValueError, match="without configs"):
        areas_of(exactly(curve(np.array([0.5]))), {"one": [0], "none": []})


def test_few_blocks_have_no_interval() -> None:
    plane = curve(np.linspace(0.1, 1, 8))
    rng = np.random.default_rng(0)
    one = areas_of(exactly(plane), {"all": range(8)}).methods[0].hull
    two = areas_of(noisy(plane, blocks=2, noise=0.003, rng=rng), {"all": range(8)}).methods[0].hull
    assert (one.se, one.half_width) == (None, None)
    assert two.se is not None
    assert two.half_width is None


def test_excess_is_paired_with_the_line() -> None:
    """Noise that configs and both anchors share moves the hull and the line together."""
    rng = np.random.default_rng(3)
    plane = np.vstack([curve(np.linspace(0.1, 1, 8)), Z, J])[:, :, np.newaxis] + rng.normal(0, 0.004, (1, 2, 5))
    points = Points(x=plane[:8, 0], y=plane[:8, 1], zero_shot=plane[8].T, joint=plane[9].T)
    found = areas_of(points, {"all": range(8)})
    method = found.methods[0]
    assert found.line is not None
    assert method.excess.value == pytest.approx(method.hull.value - found.line.value)
    assert method.hull.se is not None
    assert method.excess.se is not None
    assert method.excess.se < 0.1 * method.hull.se


def test_one_curve_has_one_hull_whatever_the_number_of_configs() -> None:
    """Hypervolume rewards the method with more configs on the same curve; the hull does not."""
    many, few = curve(np.linspace(0.05, 1, 32)), curve(np.linspace(0.15, 1, 5))
    found = areas_of(exactly(np.vstack([many, few])), {"many": range(32), "few": range(32, 37)})
    m, f = found.methods
    assert m.hypervolume.value - f.hypervolume.value > 0.05
    assert abs(m.hull.value - f.hull.value) < 0.02


def test_at_k_configs_a_method_of_many_has_what_a_method_of_few_has() -> None:
    """Configs drawn from one curve: the more of them the larger the hypervolume, but not at k of them."""
    rng = np.random.default_rng(4)
    raw, volume_at_k, hull_at_k = [], [], []
    for _ in range(60):
        found = areas_of(exactly(curve(rng.random(36))), {"many": range(30), "few": range(30, 36)})
        many, few = found.methods
        assert few.hypervolume_at_k.value == pytest.approx(few.hypervolume.value)
        assert few.hull_at_k.value == pytest.approx(few.hull.value)
        raw.append(many.hypervolume.value - few.hypervolume.value)
        volume_at_k.append(many.hypervolume_at_k.value - few.hypervolume_at_k.value)
        hull_at_k.append(many.hull_at_k.value - few.hull_at_k.value)
    assert np.mean(raw) > 0.08
    for differences in (volume_at_k, hull_at_k):
        assert abs(np.mean(differences)) < 3 * np.std(differences) / np.sqrt(60)


def test_areas_of_a_study(study: Frontier) -> None:
    groups: dict[str, list[int]] = {}
    for row, result in enumerate(study.results):
        groups.setdefault(str(result.config.timeline), []).append(row)
    found = areas_of(study.points, groups)
    by_name = {method.name: method for method in found.methods}
    assert found.k == min(len(rows) for rows in groups.values())
    assert by_name["ema"].hull.value > by_name["finetune"].hull.value
    assert all(method.hull.value >= method.hull_at_k.value for method in found.methods)
    assert all(method.hull.half_width is not None for method in found.methods)


def scores(found: Areas) -> list[Estimate]:
    method = found.methods[0]
    return [method.hypervolume, method.hull, method.excess, method.hypervolume_at_k, method.hull_at_k]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("configs", "blocks", "noise", "shared", "joint_noise"),
    [
        (15, 3, 0.003, 0.0, 0.003),
        pytest.param(30, 5, 0.006, 0.0, 0.0, marks=pytest.mark.thorough),
        pytest.param(15, 5, 0.003, 0.006, 0.003, marks=pytest.mark.thorough),
        pytest.param(15, 10, 0.006, 0.003, 0.0, marks=pytest.mark.thorough),
    ],
)
def test_intervals_cover_the_areas_and_the_bias_is_gone(
    configs: int, blocks: int, noise: float, shared: float, joint_noise: float
) -> None:
    """The truth is that of the noise-free points in the box of each run, which is a convention and not an estimate."""
    lift = -np.random.default_rng(0).exponential(0.006, configs)
    plane = curve(np.linspace(0.08, 1, configs)) + lift[:, np.newaxis] * [0, 1]
    truth = exactly(plane).means()
    groups = {"all": range(configs), "some": range(0, configs, configs // 5)}
    rng, runs = np.random.default_rng(1), 200
    covered, errors, naive = [], [], []
    for _ in range(runs):
        points = noisy(plane, blocks=blocks, noise=noise, shared=shared, joint_noise=joint_noise, rng=rng)
        found = areas_of(points, groups)
        assert found.box is not None
        assert found.k is not None
        hypervolume, hull, hypervolume_at_k, hull_at_k = scores_of(truth, box=found.box, k=found.k)
        true = [hypervolume, hull, hull - line_area(truth, box=found.box), hypervolume_at_k, hull_at_k]
        covered.append(
            [
                score.low <= value <= score.high
                for score, value in zip(scores(found), true, strict=True)
                if score.low is not None and score.high is not None
            ]
        )
        errors.append([score.value - value for score, value in zip(scores(found), true, strict=True)])
        naive.append(hull_area(points.means(), box=found.box) - hull)
    # Two standard errors of 200 runs are 3 %.
    assert (np.mean(covered, axis=0) > 0.88).all()
    assert (np.mean(covered, axis=0) < 0.99).all()
    bias = np.mean(errors, axis=0)
    assert np.abs(bias).max() < 0.012
    assert abs(bias[1]) < max(0.6 * abs(np.mean(naive)), 0.004)
