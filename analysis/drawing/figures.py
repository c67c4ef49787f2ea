"""Figures for papers: the views drawn with matplotlib as PDF, SVG and PNG, the same bytes for the same numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from matplotlib import RcParams, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.lines import Line2D

from analysis.drawing.labels import FAR, NEAR, Box, place
from analysis.drawing.marks import AnchorMark, Entry, Gains, Mark, Paths, Plane, View

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#b0568b", "#c98a00", "#4a9fd8", "#8a6d3b", "#777777")
"""Okabe & Ito's colours, darkened where they are too light for thin lines; the last one is shared."""
SHAPES = {"circle": "o", "diamond": "D", "square": "s", "triangle": "^", "down": "v", "cross": "P", "star": "*"}
STYLE = RcParams(
    {
        "font.family": ["sans-serif", "DejaVu Sans"],  # of the second are letters that the first lacks
        "font.sans-serif": ["DejaVu Sans", "Verdana"],
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e8e8e8",
        "axes.axisbelow": True,
        "legend.frameon": False,
        "text.hinting": "none",  # or texts would be wider in one format than in another
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "retune",
    }
)
SMALL_SANS = "DejaVu Sans of retune"
COMMON = (*range(0x20, 0x180), *range(0x2010, 0x2027), 0x2212)
"""Characters of western Europe, dashes and the minus sign."""


def write_figure(stem: Path, view: View) -> None:
    """Write a figure in all formats, as `stem` with their suffixes."""
    with rc_context(STYLE), _known(small_fonts(), stem.parent):
        match view:
            case Plane():
                figure = plane_figure(view)
            case Paths():
                figure = paths_figure(view)
            case Gains():
                figure = gains_figure(view)
        _save(figure, stem)


@cache
def small_fonts() -> Mapping[str, bytes]:
    """DejaVu Sans by weight, cut to the common characters and without tables for other scripts than ours.

    A PDF file holds its fonts, cut to the characters that occur. To cut the whole font takes a quarter of a second a
    file, most of it for tables that are dropped in the end.
    """
    found = {}
    for weight in ("normal", "bold"):
        with TTFont(findfont(FontProperties(family="DejaVu Sans", weight=weight)), recalcTimestamp=False) as font:
            for table in ("FFTM", "GDEF", "GPOS", "GSUB", "MATH"):
                if table in font:
                    del font[table]
            cut = Subsetter(Options(glyph_names=True, notdef_outline=True))
            cut.populate(unicodes=COMMON)
            cut.subset(font)
            for record in font["name"].names:
                record.string = str(record).replace("DejaVu Sans", SMALL_SANS)
            file = BytesIO()
            font.save(file)
        found[weight] = file.getvalue()
    return found


def plane_figure(plane: Plane) -> Figure:
    """The accumulation-retention plane."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(plane.x_range)
    axes.set_ylim(plane.y_range)
    axes.set_xlabel("accumulation: AKA (%)")
    axes.set_ylabel("retention: AZS (%)")
    if plane.slope is not None:
        _parallels(axes, plane)
    if len(plane.hull) > 1:
        axes.plot(*zip(*plane.hull, strict=True), color="#444444", linewidth=0.9, linestyle=(0, (5, 2)), zorder=2)
    clear = [mark for mark in plane.marks if not (mark.faint or mark.outside)]
    _crosses(axes, clear, [PALETTE[mark.colour] for mark in clear], linewidth=0.7, alpha=0.6, zorder=3)
    alike: dict[tuple[object, ...], list[Mark]] = {}
    for mark in plane.marks:
        alike.setdefault((mark.colour, mark.marker, mark.on_front, mark.faint, mark.outside), []).append(mark)
    for marks in alike.values():
        mark, colour = marks[0], PALETTE[marks[0].colour]
        axes.plot(
            [mark.x for mark in marks],
            [mark.y for mark in marks],
            linestyle="",
            marker=SHAPES[mark.marker],
            markersize=_size(mark, plane),
            markerfacecolor="none" if mark.outside else colour,
            markeredgecolor="black" if mark.on_front else colour,
            markeredgewidth=0.8,
            alpha=0.5 if mark.faint else 1.0,
            zorder=5.5 if mark.marker == "star" else 5 if mark.on_front else 3.5 if mark.faint else 4,
            clip_on=False,
        )
    _anchors(axes, plane.zero_shot, plane.joint)
    labels = [(mark.label, mark.x, mark.y) for mark in plane.marks if mark.label is not None]
    _legend(figure, plane.legend)
    dots = [(mark.x, mark.y) for mark in plane.marks if not mark.faint]
    dots += [(anchor.x, anchor.y) for anchor in (plane.zero_shot, plane.joint) if anchor is not None]
    _labels(figure, axes, labels, dots, named=plane.named)
    return figure


def paths_figure(paths: Paths) -> Figure:
    """Ways through the plane, and AKA and AZS over tasks."""
    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1))
    plane, aka, azs = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    for path in reversed(paths.paths):
        colour, shape = PALETTE[path.colour], SHAPES[path.marker]
        for axes, x, y in ((plane, path.x, path.y), (aka, path.tasks, path.x), (azs, path.tasks, path.y)):
            axes.plot(x, y, color=colour, linewidth=0.9, marker=".", markersize=3, alpha=0.9)
            axes.plot(
                x[-1], y[-1], color=colour, marker=shape, markersize=5, markeredgecolor="black", markeredgewidth=0.6
            )
    plane.set_xlim(paths.x_range)
    plane.set_ylim(paths.y_range)
    plane.set(xlabel="accumulation: AKA (%)", ylabel="retention: AZS (%)")
    if paths.joint is not None:
        z, j = paths.zero_shot, paths.joint
        plane.plot((z.x, j.x), (z.y, j.y), color="#888888", linewidth=1.0)
        aka.axhline(j.x, color="#888888", linewidth=0.9, linestyle=(0, (4, 2)))
        azs.axhline(j.y, color="#888888", linewidth=0.9, linestyle=(0, (4, 2)))
    _anchors(plane, paths.zero_shot, paths.joint)
    aka.set(xlabel="task", ylabel="AKA (%)")
    azs.set(xlabel="task", ylabel="AZS (%)")
    _legend(figure, paths.legend)
    ends = [(path.label, path.x[-1], path.y[-1]) for path in paths.paths]
    dots = [(x, y) for path in paths.paths for x, y in zip(path.x, path.y, strict=True)]
    _labels(figure, plane, ends, dots, named=paths.named)
    return figure


def gains_figure(gains: Gains) -> Figure:
    """Gain per config with its interval."""
    figure = Figure(figsize=(6.4, 1.1 + 0.19 * len(gains.rows)), layout="constrained")
    axes = figure.add_subplot()
    for row, y in zip(gains.rows, range(len(gains.rows), 0, -1), strict=True):
        colour, half = PALETTE[row.colour], row.half or 0.0
        axes.plot(
            [row.value - half, row.value + half], [y, y], color=colour, linewidth=1.2, solid_capstyle="butt", zorder=3
        )
        axes.plot(row.value, y, marker=SHAPES[row.marker], color=colour, markersize=5, zorder=4)
    axes.axvline(0, color="#444444", linewidth=0.9)
    labels = [f"{row.label}  {row.number}" for row in gains.rows]
    axes.set_yticks(range(len(gains.rows), 0, -1), labels, fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0.3, len(gains.rows) + 0.7)
    axes.set_xlim(gains.x_range)
    axes.grid(visible=False, axis="y")
    note = f" ({gains.half_is})" if gains.half_is else ""
    axes.set_xlabel(f"gain over the trade-off line, AZS points{note}", loc="right")  # names take much of the width
    _laid_out(figure)
    return figure


def _size(mark: Mark, plane: Plane) -> float:
    """The size of a mark in points; matplotlib's star looks small at the size of other markers."""
    size = 6 if mark.on_front else 3 if mark.faint and plane.named else 4
    return 1.6 * size if mark.marker == "star" else size


@contextmanager
def _known(fonts: Mapping[str, bytes], folder: Path) -> Iterator[None]:
    """Let matplotlib find fonts, which it reads from files."""
    before = list(fontManager.ttflist)
    with TemporaryDirectory(dir=folder, prefix=".fonts-") as place:
        for name, font in fonts.items():
            file = Path(place) / f"{name}.ttf"
            file.write_bytes(font)
            fontManager.addfont(file)
        try:
            yield
        finally:
            fontManager.ttflist[:] = before


def _laid_out(figure: Figure) -> None:
    """Find the layout and keep it: it would be found again for every format."""
    FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine(None)


def _save(figure: Figure, stem: Path) -> None:
    FigureCanvasAgg(figure).print_figure(stem.with_suffix(".png"), dpi=160, metadata={"Software": None})
    FigureCanvasSVG(figure).print_figure(stem.with_suffix(".svg"), metadata={"Creator": None, "Date": None})
    with rc_context({"font.sans-serif": [SMALL_SANS]}):
        FigureCanvasPdf(figure).print_figure(
            stem.with_suffix(".pdf"), metadata={"Creator": None, "Producer": None, "CreationDate": None}
        )


def _parallels(axes: Axes, plane: Plane) -> None:
    assert plane.slope is not None
    for gain in (0.0, *plane.gains):
        on_right = plane.zero_shot.y + gain + plane.slope * (plane.x_range[1] - plane.zero_shot.x)
        axes.axline(
            (plane.zero_shot.x, plane.zero_shot.y + gain),
            slope=plane.slope,
            color="#888888" if gain == 0 else "#d5d5d5",
            linewidth=1.1 if gain == 0 else 0.7,
            zorder=1,
        )
        if plane.y_range[0] <= on_right <= plane.y_range[1]:
            text = "line" if gain == 0 else f"{gain:+g}".replace("-", "\u2212")
            axes.annotate(
                text,
                (plane.x_range[1], on_right),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=7,
                color="#777777",
            )


def _crosses(
    axes: Axes,
    marks: Sequence[Mark | AnchorMark],
    colours: Sequence[str],
    *,
    linewidth: float,
    alpha: float,
    zorder: float,
) -> None:
    """One standard error each way, where it is known."""
    x, y = np.array([mark.x for mark in marks]), np.array([mark.y for mark in marks])
    x_se = np.array([mark.x_se for mark in marks], dtype=float)  # NaN with one block, which is not drawn
    y_se = np.array([mark.y_se for mark in marks], dtype=float)
    axes.hlines(y, x - x_se, x + x_se, colors=colours, linewidth=linewidth, alpha=alpha, zorder=zorder)
    axes.vlines(x, y - y_se, y + y_se, colors=colours, linewidth=linewidth, alpha=alpha, zorder=zorder)


def _anchors(axes: Axes, zero_shot: AnchorMark, joint: AnchorMark | None) -> None:
    anchors = [zero_shot, *([joint] if joint else [])]
    _crosses(axes, anchors, ["black"] * len(anchors), linewidth=0.9, alpha=1.0, zorder=6)
    for anchor in anchors:
        axes.plot(anchor.x, anchor.y, marker="o", markersize=10, color="white", markeredgecolor="black", zorder=7)
        axes.annotate(
            anchor.name,
            (anchor.x, anchor.y),
            ha="center",
            va="center_baseline",
            fontsize=7,
            fontweight="bold",
            zorder=8,
        )


def _legend(figure: Figure, entries: Sequence[Entry]) -> None:
    """Colours then shapes, above the axes."""
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=SHAPES[entry.shape],
            color="#666666" if entry.colour is None else PALETTE[entry.colour],
            label=entry.name,
        )
        for entry in entries
    ]
    longest = max(len(entry.name) for entry in entries)
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), max(1, int(figure.get_figwidth() / (0.4 + 0.068 * longest)))),
        fontsize=8,
        handletextpad=0.1,
        markerscale=0.8,
    )


def _labels(
    figure: Figure,
    axes: Axes,
    labels: list[tuple[str, float, float]],
    dots: list[tuple[float, float]],
    *,
    named: bool,
) -> None:
    """Numbers or names next to marks, placed in pixels after the layout is known."""
    _laid_out(figure)
    if not labels:
        return
    to_pixels = axes.transData.transform
    starts = [tuple(map(float, point)) for point in to_pixels([(x, y) for _, x, y in labels])]
    obstacles = [tuple(map(float, point)) for point in to_pixels(dots)]
    window = axes.get_window_extent()
    widest, letter = max(len(text) for text, _, _ in labels), (0.062 if named else 0.09) * figure.dpi
    centres = place(
        [(x, y) for x, y in starts],
        sizes=[(letter * (len(text) if named else widest), 0.13 * figure.dpi) for text, _, _ in labels],
        obstacles=[(x, y) for x, y in obstacles],
        bounds=Box(window.x0, window.y0, window.width, window.height),
        reach=0.11 * figure.dpi,
        rings=FAR if named else NEAR,
    )
    scale = 72 / figure.dpi
    for (text, x, y), (px, py), (cx, cy) in zip(labels, starts, centres, strict=True):
        half = letter * len(text) / 2 if named else 0.0
        moved = abs(max(cx - half, min(px, cx + half)) - px) + abs(cy - py) > 0.24 * figure.dpi
        axes.annotate(
            text,
            (x, y),
            xytext=((cx - px) * scale, (cy - py) * scale),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6.5 if named else 7,
            zorder=9,
            annotation_clip=False,
        )
        if moved:
            to_x, to_y = axes.transData.inverted().transform((max(cx - half, min(px, cx + half)), cy))
            axes.plot((x, to_x), (y, to_y), color="#888888", linewidth=0.5, zorder=2.5, clip_on=False)
