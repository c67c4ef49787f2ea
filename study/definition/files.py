"""Files of definitions: presets and YAML that users write, read into a `StudyDefinition`, and written again."""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from study.definition.study import StudyDefinition
from trainables.frozen import ConfigError, parse, suggestion
from trainables.store.store import is_address

PRESETS = resources.files("search_spaces.presets")


def load(study: str) -> tuple[StudyDefinition, str]:
    """The definition that `study` names (a YAML file or a preset), and a name of its source for messages.

    Raises:
        ConfigError: there is no such file or preset, or it is not valid.
    """
    path = Path(study)
    if path.is_file():
        return read(path), str(path)
    if (path / "study.yaml").is_file():
        raise ConfigError(f"{study}: a study's folder; its definition is {study}/study.yaml, to run with --dir {study}")
    preset = PRESETS / f"{study}.yaml"
    if re.fullmatch(r"[\w-]+", study) and preset.is_file():
        return _parse(preset.read_text(), f"preset {study}"), f"preset {study}"
    meant = suggestion(study, presets())
    raise ConfigError(f"{study}: neither a YAML file nor a preset; {meant}presets: {', '.join(presets())}")


def presets() -> list[str]:
    """Names of the presets."""
    return sorted(path.name.removesuffix(".yaml") for path in PRESETS.iterdir() if path.name.endswith(".yaml"))


def read(path: Path) -> StudyDefinition:
    """The definition in a YAML file.

    Raises:
        ConfigError: the file cannot be read or is not valid.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        definition = _parse(text, str(path))
    except ConfigError as error:
        if path.name != "study.yaml" or not (path.parent / "store").is_dir():
            raise
        raise ConfigError(f"{error}\n{recovery(path.parent)}") from error
    folder, search = path.resolve().parent, definition.search
    if search is not None:
        search = search.model_copy(update={"warm_start": [str(folder / one) for one in search.warm_start]})
    placing = {
        "workload": definition.workload.with_whole_paths(folder),
        "search": search,
        "store": _placed_store(definition.store, folder),
    }
    return definition.model_copy(update=placing)


def _placed_store(store: str | None, folder: Path) -> str | None:
    """The store with the whole path of its folder; users name the folder as seen from `folder`."""
    return store if store is None or is_address(store) else str(folder / Path(store).expanduser())


def recovery(folder: Path) -> str:
    """Advice for a study's folder whose definition is broken or gone while its store is intact."""
    return (
        f"the store of {folder} is intact: remove study.yaml if it is there, and run the definition that made the "
        f"folder again, which computes only what is missing: retune run STUDY --dir {folder}"
    )


def dump(definition: StudyDefinition) -> str:
    """The definition as YAML, with the defaults of its own keys; those of axes stay with `TrialConfig`."""
    return yaml.safe_dump(definition.canonical(), sort_keys=False, default_flow_style=None, width=100)


def differences(old: StudyDefinition, new: StudyDefinition) -> list[str]:
    """What changed between two definitions, a line a key."""
    before, after = old.canonical(), new.canonical()
    return [f"{key}: {before[key]} -> {after[key]}" for key in after if before[key] != after[key]]


def _parse(text: str, source: str) -> StudyDefinition:
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {error}") from error
    if not isinstance(value, Mapping):
        raise ConfigError(f"{source}: a mapping of keys is needed, with at least name and grid")
    return parse(StudyDefinition, value, source=source)


class _Loader(yaml.SafeLoader):
    """A loader of YAML with numbers as in YAML 1.2 (1e-3 is one), and an error for a key that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for twice in _repeated(keys):
            raise yaml.MarkedYAMLError(problem=f"the key {twice!r} is written twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _repeated(keys: list[Any]) -> Iterator[Any]:
    return (key for i, key in enumerate(keys) if key in keys[:i])


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
