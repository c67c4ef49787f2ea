"""Where the roles of columns come from: a user's file, the metadata of the trials table, and its cells.

The file and the metadata write a role alike, as `merging`, or with marks as `merging, switch`. In a Parquet file a
column says it in its field's metadata (`retune.role`), and the schema names the methods (`retune.methods`, as JSON).
`roles` says which of the sources wins.
"""

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.configs import KNOWN_AXES, NOT_AXES, PLAIN, UNTRAINED, axis_names
from analysis.roles import (
    GROUPS,
    MARKS,
    RETUNE_COLUMNS,
    ROLES,
    STANDARD,
    STANDARD_COLUMNS,
    Column,
    Named,
    Role,
    Roles,
)
from analysis.tables.contract import TableError

if TYPE_CHECKING:
    import pyarrow as pa

ROLE, METHODS = b"retune.role", b"retune.methods"
PARTS = ("method", "penalty", "projection")
"""Columns that together name the method of a config."""
KEYS = ("columns", "methods", "rename")


@dataclass(frozen=True, kw_only=True)
class AxesFile:
    """What a user says of tables: roles of columns, names of methods, and other names for columns.

    Columns go by their names in the tables. What a table does not have is passed over.
    """

    columns: Mapping[str, Column]
    methods: Mapping[str, Named]
    rename: Mapping[str, str]

    def applied(self, trials: pd.DataFrame, roles: Roles) -> tuple[pd.DataFrame, Roles]:
        """A trials table with its columns renamed, and its roles where this file wins over the metadata."""
        new = {old: name for old, name in self.rename.items() if old in trials.columns}
        for old, name in new.items():
            if name in trials.columns:
                raise TableError(f"there is a column {name!r} beside {old!r}, which --axes renames to it")
        said = {**roles.said, **{name: column for name, column in self.columns.items() if name in trials.columns}}
        found = replace(
            roles,
            said={new.get(name, name): column for name, column in said.items()},
            methods={**roles.methods, **self.methods},
            integers=frozenset(new.get(name, name) for name in roles.integers),
        )
        return trials.rename(columns=new), found


# -- the user's file ---------------------------------------------------------------------------------------------------


def read_axes(path: Path, tables: Sequence[pd.DataFrame]) -> AxesFile:
    """The file of `--axes`, YAML or JSON, for some trials tables.

    Raises:
        TableError: it cannot be read, is wrong, or speaks of a column or method that none of the tables has.
    """
    content = _mapping(_parsed(path), str(path), "columns, methods and rename")
    for key in content:
        if key not in KEYS:
            raise TableError(f"{path}: {key}: unknown key; {_meant(key, KEYS)}allowed: {', '.join(KEYS)}")
    parts = {
        key: _mapping(content.get(key) or {}, f"{path}: {key}", shape)
        for key, shape in zip(KEYS, ("role by column", "name and group by method", "new name by column"), strict=True)
    }
    _require_present(parts, tables, path)
    for name, new in parts["rename"].items():
        if not isinstance(new, str) or not new:
            raise TableError(f"{path}: rename.{name}: {new!r} given; allowed: the new name of the column, such as lr")
    rename = {str(name): str(new) for name, new in parts["rename"].items()}
    if twice := sorted(new for new in set(rename.values()) if list(rename.values()).count(new) > 1):
        raise TableError(f"{path}: rename: more than one column is to be {twice[0]!r}; give each another name")
    return AxesFile(
        columns={
            str(name): _column(text, rename.get(str(name), str(name)), f"{path}: columns.{name}")
            for name, text in parts["columns"].items()
        },
        methods={
            str(name): _named(value, str(name), f"{path}: methods.{name}", groups=GROUPS)
            for name, value in parts["methods"].items()
        },
        rename=rename,
    )


def _require_present(parts: Mapping[str, Mapping[str, Any]], tables: Sequence[pd.DataFrame], path: Path) -> None:
    """Refuse a column or a method that none of the tables has."""
    columns = {str(name) for table in tables for name in table.columns}
    cells = [table[name].dropna().unique() for table in tables for name in PARTS if name in table.columns]
    for key, known, what in (
        ("columns", {name for name in columns if name not in NOT_AXES and not name.endswith("_s")}, "axis"),
        ("methods", {str(method) for values in cells for method in values}, "method"),
        ("rename", columns, "column"),
    ):
        for name in sorted(parts[key].keys() - known):
            raise TableError(
                f"{path}: {key}.{name}: the trials table has no such {what}; {_meant(name, sorted(known))}"
                f"it has: {', '.join(sorted(known))}"
            )


def _parsed(path: Path) -> object:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: it cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise TableError(f"{path}: it is neither YAML nor JSON: {' '.join(str(error).split())}") from error


def _mapping(value: object, where: str, shape: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TableError(f"{where}: {value!r} given; allowed: a mapping ({shape})")
    for key in value:
        if not isinstance(key, str):
            raise TableError(f"{where}: {key!r} is no name; put it in quotes")
    return value


# -- metadata ----------------------------------------------------------------------------------------------------------


def roles_of_schema(schema: "pa.Schema") -> Roles:
    """What a Parquet schema says of its columns and methods.

    Raises:
        TableError: it says something that is no role, or no name.
    """
    import pyarrow as pa

    written = {field.name: field.metadata[ROLE] for field in schema if ROLE in (field.metadata or {})}
    return Roles(
        said={name: _column(_text(value), name, f"metadata of column {name!r}") for name, value in written.items()},
        methods=_methods((schema.metadata or {}).get(METHODS, b"{}")),
        integers=frozenset(field.name for field in schema if pa.types.is_integer(field.type)),
    )


def _methods(written: bytes) -> dict[str, Named]:
    where = f"metadata {METHODS.decode()}"
    try:
        found = json.loads(_text(written))
    except ValueError as error:
        raise TableError(f"{where}: it is not JSON: {error}") from error
    return {
        name: _named(value, name, f"{where}: {name}", groups=None)
        for name, value in _mapping(found, where, "name and group by method").items()
    }


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


# -- what both write ---------------------------------------------------------------------------------------------------


def _column(text: object, name: str, where: str) -> Column:
    """A role with its marks, as text; what every table has, such as `w`, has the role that it always has."""
    allowed = f"allowed: {', '.join(ROLES)}, and with it, after a comma: {', '.join(MARKS)}"
    if not isinstance(text, str):
        raise TableError(f"{where}: {text!r} given; {allowed}")
    first, *marks = (part.strip() for part in text.split(","))
    role = next((role for role in ROLES if role == first), None)
    if role is None:
        raise TableError(f"{where}: {first!r} is no role; {_meant(first, ROLES)}{allowed}")
    for mark in marks:
        if mark not in MARKS:
            raise TableError(f"{where}: {mark!r} is no mark; {_meant(mark, MARKS)}{allowed}")
    fixed = STANDARD.column(name).role
    if name in KNOWN_AXES and role != fixed:
        raise TableError(f"{where}: {role!r} given; {name} has the role {fixed} in every table")
    return Column(role=role, marks=frozenset(marks))


def _named(value: object, method: str, where: str, *, groups: Sequence[str] | None) -> Named:
    given = _mapping(value, where, "name and group")
    for key, text in given.items():
        if key not in Named._fields:
            raise TableError(f"{where}.{key}: unknown key; {_meant(key, Named._fields)}allowed: name, group")
        if not isinstance(text, str) or not text:
            raise TableError(f"{where}.{key}: {text!r} given; allowed: a text")
    named = Named(given.get("name", STANDARD.method(method).name), given.get("group", STANDARD.method(method).group))
    if groups is not None and named.group not in groups:
        meant = _meant(named.group, groups)
        raise TableError(f"{where}.group: {named.group!r} is no group; {meant}allowed: {', '.join(groups)}")
    return named


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name.lower(), {one.lower(): one for one in known}, n=1, cutoff=0.7)
    return f"did you mean {next(one for one in known if one.lower() == close[0])}? " if close else ""


# -- cells -------------------------------------------------------------------------------------------------------------


def seen_in(trials: pd.DataFrame, roles: Roles) -> Roles:
    """The roles with what the cells show of axes that nobody said anything about.

    An axis does not apply where it has no value. One that each method has throughout or nowhere is a setting of the
    methods that have it. One that each way to merge (none, or by a rule) has throughout or nowhere is a setting of
    merging. Where both is so, because each method merges in its own way, the standard name of the axis decides, or else
    the axis is the methods'. Where neither is so, the standard name decides, or else the axis is the methods' if there
    is a method without it.

    Raises:
        TableError: if two methods have one name.
    """
    trained = trials[(trials["kind"] == "trial") & (trials["method"] != UNTRAINED)].drop_duplicates("config_id")
    by_name = RETUNE_COLUMNS if RETUNE_COLUMNS.keys() <= set(trials.columns) else {}
    methods = _rows(trained[[name for name in PARTS if name in trained.columns]])
    merged = trained["rule"].notna() | (trained["timeline"].notna() & (trained["timeline"] != PLAIN))
    merges = _rows(trained[["rule"]].assign(merged=merged))
    seen: dict[str, Column] = {}
    for name in axis_names(trials):
        standard = STANDARD_COLUMNS.get(name)
        if name in KNOWN_AXES or name in roles.said or name in by_name:
            continue
        role = _seen(trained[name].notna().to_numpy(), methods, merges, standard)
        if role is not None and (standard is None or standard.role != role):
            seen[name] = Column(role=role)
    found = replace(roles, seen=seen)
    _refuse_one_name(found, trained)
    return found


def notes(roles: Roles) -> Iterator[str]:
    """What a reader must know of roles that were only seen."""
    for role, what, why in (
        ("method", "settings of methods", "other methods have no value there"),
        ("merging", "settings of merging", "only what merges has a value there"),
    ):
        names = sorted(name for name, column in roles.seen.items() if column.role == role)
        if names:
            columns = f"column {names[0]} is" if len(names) == 1 else f"columns {', '.join(names)} are"
            yield (
                f"Nothing says what {columns} for in the trials table: taken for {what}, since {why}. "
                "retune analyse --axes FILE says it for certain."
            )


def _seen(has: Any, methods: Sequence[Hashable], merges: Sequence[Hashable], standard: Column | None) -> Role | None:
    """The role that the configs which have an axis give it; None where its standard name is to decide, or nothing."""
    if has.all() or not has.any():
        return None
    sources: tuple[tuple[Role, Sequence[Hashable]], ...] = (("method", methods), ("merging", merges))
    fitting = [role for role, kinds in sources if all(len(found) == 1 for found in _by(kinds, has).values())]
    if standard is not None and (standard.role in fitting or not fitting):
        return None
    if fitting:
        return fitting[0]
    return "method" if any(found == {False} for found in _by(methods, has).values()) else None


def _by(kinds: Sequence[Hashable], has: Any) -> dict[Hashable, set[bool]]:
    """Whether configs have an axis, by kind of config."""
    found: dict[Hashable, set[bool]] = {}
    for kind, one in zip(kinds, has.tolist(), strict=True):
        found.setdefault(kind, set()).add(one)
    return found


def _rows(frame: pd.DataFrame) -> list[Hashable]:
    values = frame.astype(object).where(frame.notna(), None)
    return [tuple(map(str, row)) for row in values.itertuples(index=False)]


def _refuse_one_name(roles: Roles, trials: pd.DataFrame) -> None:
    """Methods are told apart by name, so none that a user or a table gives may be that of another method."""
    present = sorted({str(value) for name in PARTS if name in trials.columns for value in trials[name].dropna()})
    by_name: dict[str, list[str]] = {}
    for method in present:
        by_name.setdefault(roles.method(method).name, []).append(method)
    for name, methods in by_name.items():
        if len(methods) > 1 and any(method in roles.methods for method in methods):
            raise TableError(
                f"the methods {' and '.join(methods)} are both called {name!r}; give one of them another name",
                table="trials",
            )


# -- two tables --------------------------------------------------------------------------------------------------------


def joined(first: Roles, second: Roles, names: tuple[str, str]) -> Roles:
    """The roles of two tables in one.

    Raises:
        TableError: if they say different things of a column or a method.
    """
    for what, ours, theirs in (
        ("column", first.said, second.said),
        ("column", first.seen, second.seen),
        ("method", first.methods, second.methods),
    ):
        for name in sorted(ours.keys() & theirs.keys()):
            if ours[name] != theirs[name]:
                raise TableError(
                    f"{what} {name!r} is {_shown(ours[name])} in {names[0]} and {_shown(theirs[name])} in {names[1]}; "
                    "say for both what it is, in a file for retune analyse --axes",
                    table="trials",
                )
    return Roles(
        said={**first.said, **second.said},
        seen={**first.seen, **second.seen},
        methods={**first.methods, **second.methods},
        integers=first.integers | second.integers,
    )


def _shown(value: object) -> str:
    if isinstance(value, Column):
        return ", ".join([value.role, *sorted(value.marks)])
    assert isinstance(value, Named)
    return f"{value.name!r} ({value.group})"
