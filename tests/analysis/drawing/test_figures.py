"""Figures for papers: what their files hold."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import fontManager

from analysis.drawing.figures import STYLE, gains_figure, write_figure
from analysis.drawing.looks import look_of
from analysis.drawing.marks import Gains
from analysis.drawing.views import gains_of
from analysis.frontier import Frontier


@pytest.fixture(scope="module")
def gains(study: Frontier) -> Gains:
    found = gains_of(study, look_of(study))
    assert found is not None
    return found


def test_fonts_are_true_type_and_small(gains: Gains, tmp_path: Path) -> None:
    """Many publishers refuse fonts of type 3; of a whole font a file would have 700 kB."""
    write_figure(tmp_path / "gains", gains)
    pdf = (tmp_path / "gains.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert set(re.findall(rb"/Subtype /(\w+)", pdf)) <= {b"CIDFontType2", b"Type0", b"TrueType", b"Form"}
    assert len(pdf) < 60_000


def test_letters_that_are_rare_are_drawn_too(gains: Gains, tmp_path: Path) -> None:
    """A letter that no font had would be a warning, and here an error."""
    label = "na\u00efve \u0416\u0443\u043a \u03b1 \u2264 \u221a2 \u2192"
    write_figure(tmp_path / "gains", replace(gains, rows=(replace(gains.rows[0], label=label), *gains.rows[1:])))
    assert label in (tmp_path / "gains.svg").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"gains.pdf", "gains.svg", "gains.png"}


def test_matplotlib_is_left_as_it_was(gains: Gains, tmp_path: Path) -> None:
    known = list(fontManager.ttflist)
    write_figure(tmp_path / "gains", gains)
    assert fontManager.ttflist == known


@pytest.mark.parametrize("dpi", [72, 100, 160])
def test_names_are_not_cut_at_any_size(gains: Gains, dpi: int) -> None:
    """Letters that are fitted to pixels are wider in some sizes than in the one that the layout was found for."""
    with rc_context(STYLE):
        figure = gains_figure(gains)
        FigureCanvasAgg(figure)
        figure.set_dpi(dpi)
        figure.draw_without_rendering()
        names = figure.axes[0].get_yticklabels()
        assert len(names) == len(gains.rows)
        for name in names:
            assert name.get_window_extent().x0 >= 0, name.get_text()
