"""Numbers of the figures: ticks, ranges, labels and looks."""

import re
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.drawing import charts, svg
from analysis.drawing.labels import Box, place, spread
from analysis.drawing.looks import look_of
from analysis.drawing.svg import Frame
from analysis.drawing.ticks import log_ticks, nice_ticks
from analysis.drawing.views import anytime_of, gains_of, paths_of, plane_of
from analysis.evaluation import Evaluation
from analysis.frontier import Frontier, build_frontier, shown_methods
from analysis.tables.loading import make_tables
from analysis.tasks.accuracies import changes_of, metrics_of
from analysis.tasks.trajectories import MAX_SHOWN, shown_results, trajectories
from tests.analysis.worlds import World, frames


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 9))
def test_ticks_are_round_and_inside(low: float, width: float, count: int) -> None:
    ticks = nice_ticks(low, low + width, count)
    assert len(ticks) <= count + 1
    assert all(low - 1e-6 * width <= tick <= low + width + 1e-6 * width for tick in ticks)
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[:1], rtol=1e-6)


def test_every_config_is_a_mark_and_all_anchors_are_inside(study: Frontier) -> None:
    plane = plane_of(study, look_of(study))
    assert [mark.number for mark in plane.marks] == [result.number for result in study.results]
    assert not any(mark.outside for mark in plane.marks if mark.on_front)
    for anchor in (plane.zero_shot, plane.joint):
        assert anchor is not None
        assert plane.x_range[0] < anchor.x < plane.x_range[1]
        assert plane.y_range[0] < anchor.y < plane.y_range[1]


def test_marks_are_in_percent_and_agree_with_the_gain(study: Frontier) -> None:
    plane = plane_of(study, look_of(study))
    assert plane.slope is not None
    for mark, result in zip(plane.marks, study.results, strict=True):
        assert result.gain is not None
        above = mark.y - plane.zero_shot.y - plane.slope * (mark.x - plane.zero_shot.x)
        assert above == pytest.approx(100 * result.gain.value, abs=1e-9)


def test_parallels_are_round_and_few(study: Frontier) -> None:
    gains = plane_of(study, look_of(study)).gains
    assert 0 < len(gains) <= 12
    assert 0.0 not in gains
    assert all(gain == int(gain) for gain in gains)


def test_names_of_many_methods_do_not_cover_each_other(methods: Frontier) -> None:
    drawing = charts.plane_chart(plane_of(methods, look_of(methods)))
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="name mid">([^<]+)<', drawing)
    assert len(found) == sum(method.best.config.trained for method in methods.methods)
    boxes = [(float(x), float(y), charts.NAME_PIXELS * len(name)) for x, y, name in found]
    for (xa, ya, wide_a), (xb, yb, wide_b) in combinations(boxes, 2):
        assert abs(xa - xb) >= (wide_a + wide_b) / 2 or abs(ya - yb) >= 12


def test_many_methods_show_one_gain_each(methods: Frontier) -> None:
    gains = gains_of(methods, look_of(methods))
    assert gains is not None
    families = [methods.results[row.number - 1].config.approach for row in gains.rows]
    assert len(families) == len(set(families)) == len(shown_methods(methods))
    assert "zero-shot" not in families


def test_ways_of_many_methods_end_apart_and_hold_every_group(methods: Frontier) -> None:
    shown = shown_results(methods)
    assert len(shown) == MAX_SHOWN
    assert methods.headline in shown
    assert {result.config.group for result in shown} == {method.group for method in shown_methods(methods)}


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10))
def test_spread_names_keep_order_and_distance(wanted: list[float]) -> None:
    found = spread(wanted, gap=8, low=0, high=100)
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in found)
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert all(found[b] - found[a] >= 8 - 1e-9 for a, b in pairwise(order))


def test_spread_leaves_alone_what_has_room() -> None:
    assert spread([10.0, 50.0, 30.0], gap=8, low=0, high=100) == (10.0, 50.0, 30.0)


def test_gain_rows_hold_every_methods_best(study: Frontier) -> None:
    gains = gains_of(study, look_of(study))
    assert gains is not None
    shown = {row.number for row in gains.rows}
    assert {method.best.number for method in study.methods} <= shown
    assert len(gains.rows) + gains.hidden == len(study.results)
    assert all(gains.x_range[0] < row.value - (row.half or 0) for row in gains.rows)


def test_paths_start_at_zero_shot_and_end_at_the_result() -> None:
    data = frames(World(tasks=3))
    tables = make_tables(data["trials"], data["tasks"], data["scores"], name="study")
    frontier = build_frontier(tables)
    found = trajectories(tables, shown_results(frontier))
    for path in found:
        assert path.tasks == (0, 1, 2, 3)
        assert path.aka[0].value == pytest.approx(frontier.zero_shot.aka.value)
        assert path.aka[-1] == path.result.aka
        assert path.azs[-1].value == pytest.approx(path.result.azs.value)
    view = paths_of(frontier, found, look_of(frontier))
    assert view.last_task == 3


def test_dataset_changes_average_to_the_change_of_aka_and_azs() -> None:
    data = frames(World(tasks=2))
    tables = make_tables(data["trials"], data["tasks"], data["scores"], name="study")
    frontier = build_frontier(tables)
    result = frontier.results[0]
    changes = changes_of(tables, [result.config.config_id])
    assert changes is not None
    assert [dataset.group for dataset in changes.datasets] == ["adapt"] * 9 + ["holdout"] * 6
    for group, value, start in (
        ("adapt", result.aka, frontier.zero_shot.aka),
        ("holdout", result.azs, frontier.zero_shot.azs),
    ):
        of_group = zip(changes.datasets, changes.rows[0], strict=True)
        mean = np.mean([change.value for dataset, change in of_group if dataset.group == group])
        assert mean == pytest.approx(value.value - start.value)


def test_an_extra_dataset_is_listed_last_and_changes_no_metric() -> None:
    data = frames(World(tasks=2))
    counts = data["scores"].query("dataset == 'Birds'").assign(dataset="Counts", group="extra", value=0.25)
    with_extra = pd.concat([data["scores"], counts], ignore_index=True)
    without, given = (
        make_tables(data["trials"], data["tasks"], scores, name="study") for scores in (data["scores"], with_extra)
    )
    chosen = [build_frontier(without).results[0].config.config_id]
    changes = changes_of(given, chosen)
    assert changes is not None
    assert changes.datasets[-1].name == "Counts"
    assert changes.zero_shot[-1] == 0.25
    assert changes.rows[0][-1].value == 0
    assert metrics_of(given, chosen) == metrics_of(without, chosen)


def test_labels_avoid_marks_and_each_other() -> None:
    marks = [(50.0, 50.0), (62.0, 50.0), (50.0, 62.0)]
    centres = place(marks, sizes=[(16, 12)] * 3, obstacles=marks, bounds=Box(0, 0, 200, 200))
    for i, (x, y) in enumerate(centres):
        assert not any(abs(x - mx) < 8 and abs(y - my) < 6 for mx, my in marks)
        assert not any(abs(x - ox) < 16 and abs(y - oy) < 12 for ox, oy in centres[:i])


@pytest.mark.parametrize("slope", [0.0, -0.4, 2.0, -50.0])
def test_lines_are_clipped_to_the_frame(slope: float) -> None:
    frame = Frame(width=100, height=100, x_range=(0, 10), y_range=(0, 5))
    ends = frame.clip((4.0, 2.0), slope)
    assert ends is not None
    for x, y in ends:
        assert -1e-9 <= x <= 10 + 1e-9
        assert -1e-9 <= y <= 5 + 1e-9
        assert y == pytest.approx(2.0 + slope * (x - 4.0))
    assert frame.clip((4.0, 20.0), 0.0) is None
    assert frame.clip((4.0, 500.0), -0.1) is None


def test_text_is_escaped() -> None:
    assert svg.text(0, 0, "a < b & c", "tick") == '<text x="0.0" y="0.0" class="tick">a &lt; b &amp; c</text>'
    assert "&quot;" in svg.document(10, 10, 'a "b"', "")


@given(st.floats(-12, 12), st.floats(0.05, 9))
def test_logarithmic_ticks_are_inside(low: float, width: float) -> None:
    ticks = log_ticks(low, low + width)
    assert all(low <= np.log10(tick) <= low + width for tick in ticks)
    assert len(ticks) >= 2
    assert len({f"{tick:.3g}" for tick in ticks}) == len(ticks) or width < 0.1


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    tables = frames(World(weights=(0.2, 0.5, 0.8), rates=(1e-5, 1e-4, 1e-3), tasks=4))
    return Evaluation(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))


def test_curves_over_cost_end_at_the_hull_area(evaluation: Evaluation) -> None:
    view = anytime_of(evaluation.compute.curves, "MAFs", evaluation, look_of(evaluation.frontier))
    assert view is not None
    areas = {area.name: 100 * area.hull.value for area in evaluation.areas.methods}
    for line in view.lines:
        assert line.y[-1] == pytest.approx(areas[line.name], abs=0.5)
        assert list(line.x) == sorted(line.x)


def test_ways_begin_at_zero_shot_and_bands_contain_each_other(evaluation: Evaluation) -> None:
    plane = plane_of(evaluation.frontier, look_of(evaluation.frontier), evaluation.dials)
    for mark in plane.marks:
        assert mark.way is not None
        assert mark.way[0] == pytest.approx((plane.zero_shot.x, plane.zero_shot.y))
    names = [band.name for band in plane.bands]
    assert len(names) == 3

    def height(points: tuple[tuple[float, float], ...], x: float) -> float:
        return max((y for at, y in points if at >= x), default=plane.y_range[0])

    any_, most, all_ = (band.points for band in plane.bands)
    for x in np.linspace(*plane.x_range, 20):
        assert height(any_, x) >= height(most, x) >= height(all_, x)


def test_dials_run_through_configs_of_the_pareto_set(evaluation: Evaluation) -> None:
    plane = plane_of(evaluation.frontier, look_of(evaluation.frontier), evaluation.dials)
    assert plane.dials
    assert all(dial.name.startswith("path of ") for dial in plane.dials)
