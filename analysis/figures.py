"""Figures for papers: the views drawn with matplotlib as PDF, SVG and PNG, the same bytes for the same numbers."""

from pathlib import Path

from matplotlib import RcParams, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.labels import FAR, NEAR, Box, place
from analysis.looks import Look
from analysis.views import AnchorMark, Gains, Mark, Paths, Plane

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#b0568b", "#c98a00", "#4a9fd8", "#8a6d3b", "#777777")
"""Okabe & Ito's colours, darkened where they are too light for thin lines; the last one is shared."""
SHAPES = {"circle": "o", "diamond": "D", "square": "s", "triangle": "^", "down": "v", "cross": "P", "star": "*"}
STYLE = RcParams(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e8e8e8",
        "axes.axisbelow": True,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "retune",
    }
)


def write_figures(folder: Path, *, plane: Plane, paths: Paths, gains: Gains | None) -> None:
    """Write `plane`, `paths` and, where gains exist, `gains`."""
    with rc_context(STYLE):
        _save(plane_figure(plane), folder / "plane")
        _save(paths_figure(paths), folder / "paths")
        if gains is not None:
            _save(gains_figure(gains), folder / "gains")


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
    for mark in plane.marks:
        colour = PALETTE[mark.colour]
        if not (mark.faint or mark.outside):
            axes.errorbar(mark.x, mark.y, mark.y_se, mark.x_se, ecolor=colour, elinewidth=0.7, alpha=0.6, zorder=3)
        axes.plot(
            mark.x,
            mark.y,
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
    _legend(figure, plane.look)
    dots = [(mark.x, mark.y) for mark in plane.marks if not mark.faint]
    dots += [(anchor.x, anchor.y) for anchor in (plane.zero_shot, plane.joint) if anchor is not None]
    _labels(figure, axes, labels, dots, named=plane.look.named)
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
    _legend(figure, paths.look)
    ends = [(path.label, path.x[-1], path.y[-1]) for path in paths.paths]
    dots = [(x, y) for path in paths.paths for x, y in zip(path.x, path.y, strict=True)]
    _labels(figure, plane, ends, dots, named=paths.look.named)
    return figure


def gains_figure(gains: Gains) -> Figure:
    """Gain per config with its interval."""
    figure = Figure(figsize=(6.4, 1.1 + 0.19 * len(gains.rows)), layout="constrained")
    axes = figure.add_subplot()
    for row, y in zip(gains.rows, range(len(gains.rows), 0, -1), strict=True):
        colour = PALETTE[row.colour]
        axes.errorbar(row.value, y, None, row.half, ecolor=colour, elinewidth=1.2, zorder=3)
        axes.plot(row.value, y, marker=SHAPES[row.marker], color=colour, markersize=5, zorder=4)
    axes.axvline(0, color="#444444", linewidth=0.9)
    labels = [f"{row.result.config.label}  {row.result.number}" for row in gains.rows]
    axes.set_yticks(range(len(gains.rows), 0, -1), labels, fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0.3, len(gains.rows) + 0.7)
    axes.set_xlim(gains.x_range)
    axes.grid(visible=False, axis="y")
    note = f" ({gains.half_is})" if gains.half_is else ""
    axes.set_xlabel(f"gain over the trade-off line, AZS points{note}", loc="right")  # names take much of the width
    return figure


def _size(mark: Mark, plane: Plane) -> float:
    """In points; matplotlib's star looks small at the size of the others."""
    size = 6 if mark.on_front else 3 if mark.faint and plane.look.named else 4
    return 1.6 * size if mark.marker == "star" else size


def _save(figure: Figure, stem: Path) -> None:
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # keeps the layout, which would be found again for every format
    figure.savefig(stem.with_suffix(".png"), dpi=160, metadata={"Software": None})
    figure.savefig(stem.with_suffix(".svg"), metadata={"Creator": None, "Date": None})
    figure.savefig(stem.with_suffix(".pdf"), metadata={"Creator": None, "Producer": None, "CreationDate": None})


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


def _anchors(axes: Axes, zero_shot: AnchorMark, joint: AnchorMark | None) -> None:
    for anchor in (zero_shot, *((joint,) if joint else ())):
        axes.errorbar(anchor.x, anchor.y, anchor.y_se, anchor.x_se, ecolor="black", elinewidth=0.9, zorder=6)
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


def _legend(figure: Figure, look: Look) -> None:
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
        for entry in look.legend
    ]
    longest = max(len(entry.name) for entry in look.legend)
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
    if not labels:
        return
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
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
