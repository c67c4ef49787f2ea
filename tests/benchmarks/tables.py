"""Tables of the README and of docs/, made from the grids beside this file: `python -m tests.benchmarks.tables`.

A grid is what a finished study found: its definition, its tables of trials and tasks, and the time that it took. They
lie in `grids/PRESET`, and those of an independent draw of the pocket world in `grids/DRAW/PRESET`.

    python -m tests.benchmarks.tables --collect runs/demo runs/methods     # copies what finished studies found
    python -m tests.benchmarks.tables --collect runs2/demo --draw draw-1   # the same, of another draw of the world
    python -m tests.benchmarks.tables                                      # writes the tables into the pages
    python -m tests.benchmarks.tables --check                              # fails where a page says something else

A page says between two comments which table stands there: `<!-- table: KIND VALUE... -->` and `<!-- end of table -->`;
the kinds are `KINDS`. A table whose grids are not there stays as it is.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from analysis.evaluation import Evaluation
from analysis.findings.evidence import Comparison
from analysis.findings.findings import Finding
from analysis.findings.several import findings_of, planes_of
from analysis.frontier import Result
from analysis.plane.anchors import Anchor
from analysis.tables.loading import load_tables
from analysis.tables.tables import Tables
from analysis.writing.answers import decision_sentences
from analysis.writing.sentences import comparison_sentence, levels
from analysis.writing.wording import MINUS, NONE, PLUS_MINUS, TIMES, percent, points, prices, seconds, share
from study.commands.reading import derive
from study.folder.folder import Folder
from tests.docs.pages import PAGES, name_of
from trainables.files import whole

GRIDS = Path(__file__).parent / "grids"
DRAW = "draw-"
"""What the names of other draws begin with."""
KEPT = ("trials", "tasks", "full", "full_scores")
"""Tables that findings and searches need, some ten kilobytes for a hundred trials; the last two have rows where a study
scores a subset of the test images within its stream, and all at its ends. Another study has its ends in `scores`."""

SHOWN = 6
"""Most comparisons that a row says; `retune findings` says all."""

PUBLISHED: Mapping[int, str] = {
    1: "full fine-tuning has the highest AKA of all that do not merge, and the lowest AZS",
    2: "LNFit and BitFit: highest AZS, lowest AKA",
    3: "LoRA, DoRA between the two, and below the line",
    4: "a higher rank moves along the same trade-off",
    5: "VeRA as LNFit and BitFit: hardly any AKA",
    6: "GaLore between full fine-tuning and LoRA, DoRA",
    7: "EWC: much more AZS, AKA stays near zero-shot; a weaker penalty learns more",
    8: "SI: nothing on either axis",
    9: "EMA- and ZS-merge: AZS as zero-shot or better at first, AKA of fine-tuning, end above the line",
    10: "w from .85 to .95: more AZS, less AKA",
    11: "1e-5 is best: larger forgets from the first tasks on, smaller learns less",
    12: "cosine and rsqrt within a task: hardly a difference",
    13: "any meta-schedule: clearly more AZS",
    14: "meta-schedules of cosine lose much AKA; of rsqrt keep it, with much more AZS, above the line",
    15: "larger models (S to g): as much AKA or more, less forgetting",
    16: "more compute: better merging, no better fine-tuning",
    17: "both towers beat a locked one",
    18: "the pretrained temperature: a far smaller gap at first",
    19: "orderings: other ways, about the same end",
    20: "replay of earlier tasks is crucial, the choice of pretraining data matters little",
    21: "each data set alone raises its own score",
    22: "offline merging is worse than merging over time",
    23: "merge rules: little over a weighted average",
    24: "start and serve matter much, and EMA/EMA is best",
    25: "merging's lead grows with size, compute and tasks",
}
"""What arXiv 2408.14471 (1 to 21) and 2412.06712 say of real CLIP, by the numbers of findings."""

Cells = Iterable[Sequence[str]]


class LacksGridError(Exception):
    """A table needs a grid that is not there."""


def collect(folder: Path, grids: Path) -> Path:
    """Copy what a finished study found into its grid; returns where that is.

    Raises:
        ValueError: the study is not finished.
    """
    home = Folder(path=folder)
    derive(folder)
    ends = ("scores",) if home.definition().subset is None else ()
    tables = load_tables(folder)
    if unfinished := tables.counts["failed"] + tables.counts["waiting"]:
        raise ValueError(f"{folder}: {unfinished} trials are not done; `retune run` goes on with them")
    grid = grids / home.definition().name
    shutil.rmtree(grid, ignore_errors=True)
    (grid / "tables").mkdir(parents=True)
    shutil.copy(home.definition_file, grid)
    for path in (home.tables / f"{name}.parquet" for name in (*KEPT, *ends)):
        if pq.read_metadata(path).num_rows:
            shutil.copy(path, grid / "tables")
    took = sum(b["time"] - a["time"] for a, b in pairwise(home.events()) if b["event"] != "run_started")
    (grid / "run.json").write_text(json.dumps({"updates": len(home.plan().all_updates), "seconds": round(took)}) + "\n")
    return grid


@dataclass(frozen=True)
class Grids:
    """All grids of a folder: those of the first draw of the world, called "", and those of other draws."""

    folder: Path

    @cached_property
    def studies(self) -> Mapping[str, Mapping[str, Tables]]:
        """The tables of every draw by the names of presets."""
        draws = {"": self.folder, **{one.name: one for one in sorted(self.folder.glob(f"{DRAW}*"))}}
        return {
            draw: {path.parent.name: load_tables(path.parent) for path in sorted(folder.glob("*/study.yaml"))}
            for draw, folder in draws.items()
        }

    @cached_property
    def verdicts(self) -> Mapping[str, Mapping[int, Finding]]:
        """The findings of every draw by number, over all presets together."""
        if not self.studies[""]:
            raise LacksGridError("any preset")
        return {
            draw: {finding.number: finding for finding in findings_of(planes_of(list(studies.values())))}
            for draw, studies in self.studies.items()
        }

    def evaluated(self, preset: str) -> Evaluation:
        """A preset of the first draw."""
        if preset not in self.studies[""]:
            raise LacksGridError(preset)
        return Evaluation(self.studies[""][preset])


def findings(grids: Grids, *numbers: str) -> Iterator[str]:
    """The verdicts over all presets together, with those of other draws; of some numbers, or of all."""
    verdicts = grids.verdicts
    rows = (
        (str(n), one.claim, *(_verdict(found[n]) for found in verdicts.values()), _numbers(one))
        for n, one in verdicts[""].items()
        if not numbers or str(n) in numbers
    )
    yield from table(("no.", "finding", "verdict", *list(verdicts)[1:], "numbers"), rows)


def directions(grids: Grids) -> Iterator[str]:
    """What real CLIP does, and whether differences here point the same way, whatever their intervals."""
    verdicts = grids.verdicts
    rows = (
        (str(n), text, *(_direction(found[n]) for found in verdicts.values()), _levels(verdicts[""][n]))
        for n, text in PUBLISHED.items()
    )
    yield from table(("no.", "real CLIP, as published", "here", *list(verdicts)[1:], "AKA / AZS here"), rows)


def frontier(grids: Grids, preset: str) -> Iterator[str]:
    """The configs that no other beats on both axes, between zero-shot and joint."""
    found = grids.evaluated(preset).frontier
    paid = {vertex.result.number: prices(vertex.low, vertex.high) for vertex in found.hull if vertex.result is not None}
    first, *last = ((one.label, *_point(one), NONE, NONE) for one in (found.zero_shot, found.joint) if one is not None)
    own = ((one.config.label, *_point(one), points(one.gain), paid.get(one.number, NONE)) for one in found.front)
    yield from table(("config", "AKA %", "AZS %", "gain, points", "best at a price of"), [first, *own, *last])


def methods(grids: Grids, preset: str) -> Iterator[str]:
    """Every method with each timeline, at its largest gain."""
    rows = (
        (one.best.config.label, *_point(one.best), points(one.best.gain), share(one.relative_mafs))
        for one in grids.evaluated(preset).methods
    )
    yield from table(("method", "AKA %", "AZS %", "gain, points", "MAFs / full"), rows)


def decision(grids: Grids, preset: str, *most: str) -> Iterator[str]:
    """The paragraphs that open the report of a preset, or the first of them."""
    found = grids.evaluated(preset)
    said = decision_sentences(found.frontier, found.decision)
    yield from (f"* {one.question}: {one.text}" for one in said[: int(most[0]) if most else None])


def times(grids: Grids) -> Iterator[str]:
    """What every preset took."""
    rows = []
    for name, found in grids.studies[""].items():
        run = json.loads((grids.folder / name / "run.json").read_text())
        sizes = (found.counts["configs"], len(found.blocks), found.counts["trials"], run["updates"])
        rows.append((f"`{name}`", *map(str, sizes), seconds(run["seconds"])))
    if not rows:
        raise LacksGridError("any preset")
    yield from table(("preset", "configs", "blocks", "trials", "updates", "took"), rows)


KINDS: Mapping[str, Callable[..., Iterator[str]]] = {
    one.__name__: one for one in (findings, directions, frontier, methods, decision, times)
}


def table(head: Sequence[str], rows: Cells) -> Iterator[str]:
    """A table of Markdown, line by line."""
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"


_PLACE = re.compile(r"(<!-- table: (.+?) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def written(page: str, grids: Grids, lacking: Callable[[str], object]) -> str:
    """A page with its tables as the grids have them.

    Args:
        page: its text.
        grids: what studies found.
        lacking: told of every table that stays as it is, for want of a grid.
    """

    def filled(place: re.Match[str]) -> str:
        kind, *values = place[2].split()
        try:
            lines = list(KINDS[kind](grids, *values))
        except LacksGridError as error:
            lacking(f"{place[2]}: stays as it is, as there is no grid of {error}")
            return place[0]
        return f"{place[1]}\n{_ascii(chr(10).join(lines))}\n\n{place[4]}"

    return _PLACE.sub(filled, page)


def _ascii(text: str) -> str:
    for sign, plain in ((PLUS_MINUS, "+-"), (MINUS, "-"), (TIMES, "x"), (NONE, "-")):
        text = text.replace(sign, plain)
    return text


def _point(one: Result | Anchor) -> tuple[str, str]:
    return percent(one.aka), percent(one.azs)


def _verdict(finding: Finding) -> str:
    return f"**{finding.verdict}**" if finding.stands else finding.verdict


def _decisive(finding: Finding) -> tuple[Comparison, ...]:
    return finding.comparisons[: finding.decisive]


def _numbers(finding: Finding) -> str:
    return _some([comparison_sentence(one) for one in _decisive(finding)]) or str(finding.reason)


def _direction(finding: Finding) -> str:
    """Which way point estimates point, and whether the intervals leave that open."""
    same = [one.distances[0] > 0 for one in _decisive(finding)]
    if not same:
        return finding.verdict
    way = "the same" if all(same) else f"{sum(same)} of {len(same)} the same" if any(same) else "the reverse"
    return way if finding.decided else f"{way}, within noise"


def _levels(finding: Finding) -> str:
    """AKA and AZS of all that is compared, each two sides once."""
    sides = {frozenset((one.left_point, one.right_point)): levels(one) for one in _decisive(finding)}
    return _some([text.removeprefix("AKA / AZS ") for text in sides.values() if text is not None]) or NONE


def _some(parts: Sequence[str]) -> str:
    """The first parts, and how many there are beside them."""
    more = [f"and {len(parts) - SHOWN} more"] if len(parts) > SHOWN else []
    return "; ".join([*parts[:SHOWN], *more])


def main(arguments: Sequence[str] | None = None, *, pages: Sequence[Path] = PAGES, grids: Path = GRIDS) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--collect", type=Path, nargs="+", metavar="DIR", default=[], help="folders of finished studies"
    )
    parser.add_argument("--draw", default="", help="the draw of the world that they are of, such as draw-1")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a page differs")
    given = parser.parse_args(arguments)
    if given.draw and not given.draw.startswith(DRAW):
        parser.error(f"--draw {given.draw}: the name of a draw begins with {DRAW}")
    for folder in given.collect:
        print(collect(folder, grids / given.draw))
    found, differ = Grids(grids), []
    for page in pages:
        before = page.read_text()
        after = written(before, found, print)
        if after != before:
            differ.append(name_of(page))
            if not given.check:
                with whole(page) as file:
                    file.write_text(after)
    if differ and given.check:
        print(f"not as the grids say: {', '.join(differ)}; write them by `python -m tests.benchmarks.tables`")
    return int(bool(differ) and given.check)


if __name__ == "__main__":
    sys.exit(main())
