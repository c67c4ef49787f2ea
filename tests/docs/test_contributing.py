"""CONTRIBUTING.md: what it names is there, its floors are the tests' own, and each of its examples works when pasted.

The examples are taken from the page itself. The first line of each says where it goes: into a file, into a table of a
file, or into a new file.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from markdown_it import MarkdownIt
from torch import nn

from analysis.findings.claims import find
from analysis.findings.evidence import evidence_of
from analysis.frontier import build_frontier
from analysis.tables.loading import make_tables
from study.definition.files import load
from study.definition.study import StudyDefinition
from study.planning.plan import make_plan
from study.tracking.tracker import Point, Run
from study.tracking.trackers import TRACKERS
from tests.analysis.worlds import Kind, World, method_frames
from tests.docs.pages import ROOT, code_spans
from tests.study import quick
from tests.test_layering import FLOORS, SOURCES
from tests.trainables.workloads import tokens
from trainables.frozen import parse
from trainables.merging.merge import MergeInputs, merge
from trainables.merging.rule import ROWS, MergeRule
from trainables.methods.adapters import rehearse
from trainables.methods.method import named
from trainables.methods.parts import LowRank
from trainables.methods.penalties import Penalised
from trainables.runtime import Runtime
from trainables.schedules import Schedule, factor
from trainables.streams.orderings import Stream, ordered
from trainables.workloads.anatomy import Projection
from trainables.workloads.catalogue import identify, open_workload

PAGE = ROOT / "CONTRIBUTING.md"
PACKAGES = "|".join(("tests", *FLOORS, "search_spaces"))
SPANS = tuple(code_spans(PAGE))
WORDS = frozenset(re.findall(r"\w+", " ".join(path.read_text(encoding="utf-8") for path in SOURCES)))

_WHERE = re.compile(r"# (?P<file>[\w/]+\.py)(?:, in (?P<inside>\w+)|, (?P<new>new))?\n(?P<code>.*)", re.DOTALL)


class Example(NamedTuple):
    """A block of Python: the file that it goes to, and what inside of it, a table or a function; or a new file."""

    file: str
    inside: str | None
    new: str | None
    code: str


def examples() -> dict[str, list[Example]]:
    """The blocks of Python by the heading that they stand under."""
    found: dict[str, list[Example]] = {}
    heading = ""
    tokens = MarkdownIt("commonmark").parse(PAGE.read_text(encoding="utf-8"))
    for before, token in zip([tokens[0], *tokens], tokens, strict=False):
        if before.type == "heading_open":
            heading = token.content
        if token.type == "fence" and token.info == "python":
            where = _WHERE.fullmatch(token.content)
            assert where is not None, f"the first line says where it goes: {token.content}"
            found.setdefault(heading, []).append(Example(**where.groupdict()))
    return found


EXAMPLES = examples()


def pasted(heading: str, patch: pytest.MonkeyPatch, **known: Any) -> dict[str, Any]:
    """All that the examples under a heading define; their rows are in the tables until the test ends.

    What they use and the page leaves out is `known`.
    """
    made: dict[str, Any] = {**known}
    for file, inside, new, code in EXAMPLES[heading]:
        name = file.removesuffix(".py").replace("/", ".")
        if new:
            module = ModuleType(name)
            exec(code, vars(module))
            patch.setitem(sys.modules, name, module)
            made |= {key: value for key, value in vars(module).items() if getattr(value, "__module__", None) == name}
            continue
        module = importlib.import_module(name)
        names = {**vars(module), **made}
        before = dict(names)
        if code.startswith("case "):
            exec(f"def {inside}(penalty, parameters):\n    match penalty:\n{indent(code, ' ' * 8)}", names)
        elif inside is None:
            exec(code, names)
        else:
            patch_rows(getattr(module, inside), code, names, patch)
        made |= {name: value for name, value in names.items() if value is not before.get(name)}
    return made


def patch_rows(table: dict[Any, Any], code: str, names: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Put rows into a table: `name: row,` as they stand there, or a value that says its number."""
    rows: dict[Any, Any] = (
        eval(f"{{{code}}}", names) if code.startswith('"') else {(row := eval(code, names)).number: row}
    )
    for name, row in rows.items():
        assert name not in table, f"{name} is there already; take another example"
        patch.setitem(table, name, row)


# -- what the page names -----------------------------------------------------------------------------------------------


def test_paths_are_there() -> None:
    paths = [
        span for span in SPANS if re.fullmatch(r"[\w./-]+", span) and ("/" in span or span.endswith((".md", ".toml")))
    ]
    assert len(paths) > 20
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_modules_and_their_names_import() -> None:
    spans = " ".join(SPANS)
    dotted = set(re.findall(rf"\b(?:{PACKAGES})(?:\.\w+)+", spans))
    assert {"trainables.randomness", "tests.trainables.golden_keys"} <= dotted
    for name in dotted:
        module, _, last = name.rpartition(".")
        path = ROOT / name.replace(".", "/")
        is_there = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()  # some take seconds to import
        assert is_there or hasattr(importlib.import_module(module), last), name


def test_identifiers_are_those_of_the_code() -> None:
    unknown = {span for span in SPANS if re.fullmatch(r"_?[A-Za-z]\w+", span)} - WORDS
    assert unknown <= {"all_but_..."}


def test_make_has_the_targets() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named_here = re.findall(r"\bmake ([\w-]+)", PAGE.read_text())
    assert {"lint", "test"} <= set(named_here) <= set(targets)


@pytest.mark.parametrize("package", FLOORS)
def test_floors_are_those_that_tests_hold(package: str) -> None:
    _, _, table = PAGE.read_text().partition(f"| floor of `{package}/` | has |\n|---|---|\n")
    rows = table.partition("\n\n")[0].splitlines()
    said = [set(re.findall(r"`([\w.]+)`", row.split("|")[1])) for row in rows]
    floors = [set(floor) - {"__main__"} for floor in FLOORS[package]]
    held = [floor for floor in floors if floor]
    opened = {f"tracking.{name}" for name in ("tracker", *TRACKERS)}  # what the table of trackers stands for
    assert said == [floor - opened for floor in held]


def test_every_row_of_the_table_has_its_example() -> None:
    _, _, table = PAGE.read_text().partition("| to add | edit | by |\n|---|---|---|\n")
    to_add = [row.split("|")[1].strip() for row in table.partition("\n\n")[0].splitlines()]
    headings = re.findall(r"^### (.+)$", PAGE.read_text(), re.MULTILINE)
    assert [one[0].upper() + one[1:] for one in to_add] == headings
    for row, heading in zip(table.splitlines(), headings, strict=False):
        files = set(re.findall(r"`([\w/]+\.py)`", row))
        assert files <= {example.file for example in EXAMPLES.get(heading, [])}, heading


# -- the examples ------------------------------------------------------------------------------------------------------


def test_a_method_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pasted("A method of known parts", monkeypatch)
    study = quick.write(
        tmp_path, quick.STUDY.replace("method: full, timeline: zs", "method: freeze_embeddings, timeline: zs")
    )
    plan = make_plan(*load(str(study)))
    assert "freeze_embeddings" in {planned.trial.method for planned in plan.trials}
    assert named("freeze_embeddings").flat() == {"name": "freeze_embeddings", "logit_scale": True}
    layer = Projection(name="q", parameter="q", tower="image", layer=0, target="q", inputs=6, outputs=4)
    moved = rehearse(LowRank.model_construct(name="olora", rank=2, alpha=2.0), [layer])
    assert max(moved) < 1e-5


def test_a_penalty_pulls(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pasted("A penalty", monkeypatch)
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    penalised: Penalised = made["build"](made["L2Start"](name="l2start", strength=0.5), {"weight": weight})
    with torch.no_grad():
        weight.add_(torch.tensor([0.25, 0.0]))
    penalised.pull.add_gradient()
    assert weight.grad is not None
    assert weight.grad.tolist() == [0.25, 0.0]
    assert penalised.memory.carry() == {}
    assert made["L2Start"](name="l2start").extra_batches(batch_size=8, steps=4) == 0


def test_a_merge_rule_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    pasted("A merge rule", monkeypatch)
    states = tuple({"w": torch.tensor(values)} for values in ([1.0, 2.0], [2.0, 4.0], [9.0, 0.0]))
    inputs = MergeInputs(states=states, base={"w": torch.zeros(2)})
    assert merge(MergeRule(name="median"), inputs)["w"].tolist() == [2.0, 2.0]
    assert merge(MergeRule(name="trimmed_sum", density=0.5), inputs)["w"].tolist() == [9.0, 6.0]
    assert ROWS["trimmed_sum"].grows


def test_a_schedule_gives_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    pasted("A schedule", monkeypatch)
    schedule = Schedule(name="stepped_rsqrt")

    def after_the_warmup(earlier: tuple[int, ...]) -> set[float]:
        return {factor(schedule, step=step, steps=10, earlier=earlier) for step in range(1, 10)}

    (first,), (second,), (third,) = map(after_the_warmup, ((), (10,), (10, 10)))
    assert first == 1 > second > third > 0


def test_an_ordering_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    pasted("An ordering", monkeypatch)
    stream = Stream().model_copy(update={"ordering": "in_turn"})
    concepts = tuple(f"{dataset}/{i}" for dataset in "abc" for i in range(4))
    found = [ordered(stream, order, concepts=concepts, facts=lambda _: np.zeros(len(concepts))) for order in range(2)]
    assert all(sorted(one) == sorted(concepts) for one in found)
    assert found[0] != found[1]
    assert [name[0] for name in found[0]] == list("abc" * 4)


def test_a_workload_is_opened_by_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in (("tokens", ModuleType("tokens")), ("tokens.workload", tokens)):
        monkeypatch.setitem(sys.modules, f"trainables.workloads.{name}", module)
    made = pasted("A workload", monkeypatch, identify_tokens=tokens.ROW.identify)
    settings = made["Tokens"](length=5)
    workload = open_workload(settings, Runtime())
    assert workload.identity == identify(settings) == tokens.ROW.identify(settings, Path())
    batch = workload.batch(workload.samples(workload.identity.concepts[:1]), np.random.default_rng(0))
    assert isinstance(batch, dict)
    assert batch["inputs"].shape[1] == 4
    assert workload.loss(workload.architecture(), batch) > 0


def test_a_finding_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    pasted("A finding", monkeypatch)
    kinds = {"full": Kind(slide=0.85, lift=-1.6), "lora": Kind(slide=0.4, lift=-0.4, rank=16)}
    frames = method_frames(World(tasks=1), kinds)
    evidence = evidence_of(
        build_frontier(make_tables(frames["trials"], frames["tasks"], frames["scores"], name="study"))
    )
    finding = find(evidence, 26)
    assert (finding.verdict, finding.decisive) == ("held", 2)


def test_a_tracker_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pasted("A tracker", monkeypatch)
    sink = TRACKERS["csv"].open(tmp_path, "study")
    run = Run(trial="t1", label="t1", name="one", study="study", params={}, tags={})
    sink.write(run, [Point(task=1, values={"aka": 0.5, "azs": 0.25})])
    sink.end(run, "done")
    sink.close(finished=True)
    assert (tmp_path / "points.csv").read_text().split() == ["t1,1,aka,0.5", "t1,1,azs,0.25"]


def test_a_store_is_a_line_of_a_study() -> None:
    (line,) = lines("yaml", "A store")
    study = parse(StudyDefinition, yaml.safe_load(quick.STUDY + line), source="page")
    assert study.store == "s3://some-bucket/retune"


def lines(language: str, heading: str) -> Iterator[str]:
    """The blocks of another language under a heading."""
    _, _, section = PAGE.read_text().partition(f"### {heading}\n")
    return iter(re.findall(rf"```{language}\n(.+?)```", section.partition("\n## ")[0], re.DOTALL))
