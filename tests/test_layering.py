"""Who may import whom, and what must load without Ray or torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_package_imports_nothing_it_must_not(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    allowed = {"analysis"} if path == ROOT / "study" / "commands" / "report.py" else set()
    imported = {name.split(".")[0] for name in _imports(path)}
    assert not imported & (FORBIDDEN[package] - allowed)


CONFIG = {
    "trainables.config",
    "trainables.frozen",
    "trainables.merging.rule",
    "trainables.merging.timeline",
    "trainables.methods.method",
    "trainables.streams.orderings",
}
"""What a trial is, as values."""


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
                "trainables.workloads",
                "study.planning.plan",
                "study.definition.study",
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
