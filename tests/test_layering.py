"""Who may import whom, and what must load without Ray or torch."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from study.tracking.trackers import TRACKERS

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "search_spaces", "study", "trainables")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN = {
    "trainables": {"ray", "study", "search_spaces", "analysis", "tests"},
    "search_spaces": {"ray", "torch", "study", "analysis", "tests"},
    "study": {"analysis", "tests"},
    "analysis": {"ray", "torch", "study", "trainables", "search_spaces", "tests"},
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, also inside functions and under TYPE_CHECKING."""
    return frozenset(_imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))), path))


def _imports_at_once(path: Path) -> Iterator[str]:
    """Modules that a file imports when it is loaded itself: inside of no function, and not for types alone."""
    return _imported(ast.parse(path.read_text(encoding="utf-8")).body, path)


def _imported(nodes: Iterable[ast.AST], path: Path) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            named = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else node.module for name in named)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_package_imports_nothing_it_must_not(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    allowed = {"analysis"} if path.is_relative_to(ROOT / "study" / "commands") else set()
    imported = {name.split(".")[0] for name in _imports(path)}
    assert not imported & (FORBIDDEN[package] - allowed)
    assert not {name.split(".")[0] for name in _imports_at_once(path)} & FORBIDDEN[package]  # commands: when they run


def test_no_import_circles() -> None:
    graph = {name: {one for one in _imports(path) if one in MODULES} - {name} for name, path in MODULES.items()}
    circles = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]  # each is imported by the next, the first one stands at the end again
            circles.append(" <- ".join(circle))
            graph[circle[1]] -= {circle[0]}
        else:
            break
    assert not circles, "\n".join(circles)


TRACKING = ("tracker", "trackers", *TRACKERS)
"""What a definition knows of tracking: the table of trackers, and what its rows open, a file of the same name each."""

FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "study": (
        ("search.sampler", *(f"tracking.{one}" for one in TRACKING)),
        ("definition", "data"),
        ("planning",),
        ("results",),
        ("folder",),
        ("running", "status", "tracking"),
        ("search", "export"),
        ("commands",),
        ("__main__",),
    ),
    "trainables": (
        ("frozen", "files", "randomness", "tensors", "metrics", "runtime", "machine"),
        ("schedules", "streams", "merging", "store"),
        ("workloads",),
        ("methods",),
        ("config",),
        ("nodes", "counting", "costs", "memory"),
        ("dependencies", "history", "lineages", "train"),
        ("build",),
        ("cycle",),
        ("__main__",),
    ),
    "analysis": (
        ("arrays", "roles"),
        ("configs",),
        ("pareto", "uncertainty"),
        ("tables", "surfaces"),
        ("plane",),
        ("frontier",),
        ("tasks", "importance", "findings", "advice"),
        ("evaluation",),
        ("writing",),
        ("drawing",),
        ("report",),
        ("__main__",),
    ),
}
"""The rooms of a package from the ground up: folders, files at its top, and single files of a room that stand lower.

A file imports from its own floor and from those below.
"""


def _floor(module: str) -> int:
    package, _, rest = module.partition(".")
    names = [".".join(rest.split(".")[:length]) for length in (2, 1)]  # a file that has a floor of its own comes first
    found = [i for name in names for i, floor in enumerate(FLOORS[package]) if name in floor]
    assert found, f"{module}: on no floor of {package}; give it one in FLOORS"
    return found[0]


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_import_from_their_own_floor_and_from_those_below(package: str) -> None:
    upward = [
        f"{name} -> {one}"
        for name, path in MODULES.items()
        for one in sorted(_imports(path))
        if name.startswith(f"{package}.") and one.startswith(f"{package}.") and one in MODULES
        if _floor(one) > _floor(name)
    ]
    assert not upward, "\n".join(upward)


CONFIG = {
    "trainables.config",
    "trainables.frozen",
    "trainables.merging.rule",
    "trainables.merging.timeline",
    "trainables.methods.method",
    "trainables.methods.parts",
    "trainables.schedules",
    "trainables.streams.mixture",
    "trainables.streams.orderings",
    "trainables.workloads.settings",
}
"""The files of the values that make up a trial."""


@pytest.mark.parametrize("path", [p for p in SOURCES if p.is_relative_to(ROOT / "search_spaces")], ids=_name)
def test_search_spaces_know_only_what_a_trial_is(path: Path) -> None:
    ours = {name for name in _imports(path) if name.split(".")[0] in PACKAGES}
    assert {name for name in ours if not name.startswith("search_spaces")} <= CONFIG


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_file_is_a_noun_and_says_what_it_is(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert path.read_bytes().isascii()


@pytest.mark.parametrize(
    ("blocked", "modules"),
    [
        ("ray", ("trainables.__main__", "trainables.build", "trainables.cycle", "study.commands.app")),
        (
            "torch",
            (
                "trainables.__main__",
                "trainables.cycle",
                "trainables.workloads.catalogue",
                "study.planning.plan",
                "study.definition.files",
            ),
        ),
    ],
)
def test_module_loads_without(blocked: str, modules: tuple[str, ...]) -> None:
    _python(f"import sys; sys.modules[{blocked!r}] = None; import {', '.join(modules)}")


def test_analysis_loads_neither_torch_nor_ray_nor_the_rest() -> None:
    names = ("torch", "ray", "study", "trainables", "search_spaces")
    _python(f"import analysis.report, sys; loaded = set(sys.modules) & {set(names)}; assert not loaded, loaded")


def _python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
