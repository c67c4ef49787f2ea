"""What commands share: their common options, what they print, and what they ask of a study before they begin.

Commands that have no study, such as those of `retune data`, load none of what planning one takes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.definition.files import presets
from study.definition.study import StudyDefinition
from trainables.runtime import cache_folder
from trainables.store.memory import MemoryStore
from trainables.store.opening import open_store
from trainables.workloads import catalogue

if TYPE_CHECKING:
    from study.planning.plan import Known, Plan

StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help=f"A YAML file, or a preset: {', '.join(presets())}.", show_default=False)
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.", show_default=False)]
DirOption = Annotated[
    Path | None, typer.Option("--dir", "-d", help="The study's folder.", show_default="runs/<name of the study>")
]
CacheOption = Annotated[
    float | None,
    typer.Option(
        help="Most 1e9 bytes of decoded images here.", show_default="the study's, or half of the free disk", min=0
    ),
]
GpuOption = Annotated[
    str | None,
    typer.Option(
        metavar="KIND[:N]",
        help="Trials take a GPU each, of this kind: h200, h100-80, a100-40, l40s, or its GB of memory; N of them.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON object, for programs.")]
JsonListOption = Annotated[bool, typer.Option("--json", help="Print a JSON list, for programs.")]


def say(line: str, *, err: bool = False) -> None:
    """Print a line in characters that any terminal can take, also of names that are no text."""
    typer.echo(line.encode("utf-8", "backslashreplace").decode(), err=err)


def note(line: str) -> None:
    """Print a line beside what a command says, on standard error."""
    typer.echo(line, err=True)


def warn(message: str) -> None:
    """Print a warning beside what a command says."""
    note(f"warning: {message}")


def folder_of(definition: StudyDefinition, folder: Path | None) -> Path:
    """The folder of a study, where none is given."""
    return folder if folder is not None else Path("runs") / definition.name


def bounded(definition: StudyDefinition, cache_gb: float | None) -> StudyDefinition:
    """A definition with the bound of the command line in place of its own."""
    if cache_gb is None:
        return definition
    return definition.model_copy(update={"resources": definition.resources.model_copy(update={"cache_gb": cache_gb})})


def known_in(definition: StudyDefinition, path: Path) -> "Known":
    """The keys that a study's store holds; none while there is no store or no folder yet."""
    from study.folder.folder import store_of
    from study.planning.plan import stored_keys

    if definition.store is None and not path.is_dir():
        return stored_keys(MemoryStore())
    store = open_store(store_of(definition, path), warn)
    store.check(writable=False)
    return stored_keys(store)


def require_data(definition: StudyDefinition, full: "Plan", have: "Known") -> None:
    """Raises: ConfigError: something is left to compute, and data that it needs are gone or have changed."""
    if full.missing(have) or full.is_open:
        catalogue.require_data(definition.workload, cache_folder())
