"""Roles of columns: what a file and metadata may say, what cells show, which of them wins, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from analysis.configs import configs_of
from analysis.roles import STANDARD, Column, Named, Roles
from analysis.tables.column_roles import joined, read_axes, roles_of_schema, seen_in
from analysis.tables.contract import TableError
from analysis.tables.loading import make_tables
from analysis.tables.two_studies import merge_studies
from tests.analysis.worlds import World, frames

Way = tuple[str, str, str | None]
WAYS: Sequence[Way] = [
    ("full", "finetune", None),
    ("full", "ema", "lerp"),
    ("full", "ema", "ties"),
    ("ewc", "finetune", None),
    ("ewc", "ema", "lerp"),
    ("ewc", "ema", "ties"),
]
"""Method, timeline and rule of six configs, of which every method has all."""


def trials(ways: Sequence[Way] = WAYS, /, **columns: Sequence[object]) -> pd.DataFrame:
    rows = pd.DataFrame(ways, columns=["method", "timeline", "rule"])
    names = [f"c{i}" for i in range(len(rows))]
    rows = rows.assign(trial=names, config_id=names, kind="trial", block="b", rank=None, w=None, lr=1e-3)
    for name, values in columns.items():
        rows[name] = pd.Series(list(values))
    return rows


def role(found: Roles, name: str) -> str:
    return found.column(name).role


@pytest.mark.parametrize("name", ["zeta", "density", "batch_size"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, None, None, 1, 2, 3], "method"),
        ([None, None, 0.1, None, None, 0.2], "merging"),
        ([None, 0.1, 0.1, None, 0.1, 0.2], "merging"),
    ],
)
def test_cells_show_what_a_column_is_for_whatever_its_name(name: str, values: list[object], expected: str) -> None:
    assert role(seen_in(trials(**{name: values}), STANDARD), name) == expected


def test_cells_that_show_nothing_leave_it_to_the_name() -> None:
    """Everywhere, nowhere, or in some configs of every method: such a column is what its name says, or of training."""
    cases: list[list[object]] = [[1, 2, 3, 4, 5, 6], [None] * 6, [1, None, None, 2, None, 3]]
    for values in cases:
        found = seen_in(trials(gamma=values, zeta=values, density=values), STANDARD)
        assert found.seen == {}
        assert [role(found, name) for name in ("gamma", "zeta", "density")] == ["method", "training", "merging"]


def test_where_each_method_merges_in_its_own_way_the_name_decides() -> None:
    ways: list[Way] = [("full", "ema", "ties"), ("lora", "finetune", None)]
    found = seen_in(trials(ways, density=[0.3, None], gamma=[0.3, None], zeta=[0.3, None]), STANDARD)
    assert [role(found, name) for name in ("density", "gamma", "zeta")] == ["merging", "method", "method"]


def test_a_setting_that_its_method_may_lack_is_still_its_own() -> None:
    found = seen_in(trials(zeta=[None, None, None, None, 2, 3], temperature=[None, None, None, None, 2, 3]), STANDARD)
    assert [role(found, name) for name in ("zeta", "temperature")] == ["method", "training"]


def test_a_method_is_told_by_what_it_is_composed_with() -> None:
    ways: list[Way] = [("lora", "finetune", None), ("lora", "finetune", None), ("full", "finetune", None)]
    found = seen_in(trials(ways, penalty=[None, "mine", None], zeta=[None, 1, None]), STANDARD)
    assert found.seen == {"zeta": Column(role="method")}


def test_what_is_said_wins_over_cells() -> None:
    said = Roles(said={"zeta": Column(role="stream")})
    assert role(seen_in(trials(zeta=[None, None, None, 1, 2, 3]), said), "zeta") == "stream"


SCHEMA = pa.schema(
    [
        pa.field("method", pa.string()),
        pa.field("zeta", pa.int64(), metadata={"retune.role": "training"}),
        pa.field("tau", pa.float64(), metadata={"retune.role": "merging, of-rule, switch"}),
        pa.field("steps", pa.int64()),
    ],
    metadata={"retune.methods": json.dumps({"mine": {"name": "My method", "group": "brand new"}})},
)


def test_metadata_say_roles_marks_methods_and_whole_numbers() -> None:
    found = roles_of_schema(SCHEMA)
    assert role(found, "zeta") == "training"
    assert found.column("tau") == Column(role="merging", marks=frozenset({"of-rule", "switch"}))
    assert found.is_switch("tau")
    assert found.is_whole("steps")
    assert found.method("mine") == Named("My method", "brand new")
    assert found.method("lora") == Named("LoRA", "adapter")
    assert found.method("other one") == Named("other one", "other")


def test_metadata_win_over_standard_names() -> None:
    """A table may call LoRA as it likes, and say that its gamma is how all methods are trained."""
    schema = pa.schema(
        [pa.field("gamma", pa.float64(), metadata={"retune.role": "training"})],
        metadata={"retune.methods": json.dumps({"lora": {"name": "Low-rank", "group": "selective"}})},
    )
    found = roles_of_schema(schema)
    assert role(found, "gamma") == "training"
    table = frames(World(rates=(3e-4,), timelines=("finetune",)))["trials"]
    configs = configs_of(table[table["kind"] == "trial"], found)
    assert {config.group for config in configs if config.axes["method"] == "lora"} == {"selective"}
    assert {config.approach for config in configs} == {"full fine-tuning", "Low-rank"}


@pytest.mark.parametrize(
    ("field", "methods", "message"),
    [
        ("metod", "{}", "metadata of column 'zeta': 'metod' is no role; did you mean method"),
        ("method, swich", "{}", "'swich' is no mark; did you mean switch"),
        ("method", "{", "metadata retune.methods: it is not JSON"),
        ("method", '{"a": {"nam": "A"}}', "a.nam: unknown key; did you mean name"),
    ],
)
def test_wrong_metadata_are_refused(field: str, methods: str, message: str) -> None:
    schema = pa.schema(
        [pa.field("zeta", pa.float64(), metadata={"retune.role": field})], metadata={"retune.methods": methods}
    )
    with pytest.raises(TableError, match=message):
        roles_of_schema(schema)


def file(folder: Path, text: str) -> Path:
    (folder / "axes.yaml").write_text(text)
    return folder / "axes.yaml"


def test_a_file_wins_over_metadata_and_knows_columns_by_their_old_names(tmp_path: Path) -> None:
    said = """
    columns: {zeta: "method, whole", tau: merging}
    methods: {ewc: {name: Elastic}}
    rename: {tau: density, learning_rate: lr}
    """
    table = trials(zeta=[1.0] * 6, tau=[0.1] * 6).drop(columns="lr").assign(learning_rate=1e-3)
    axes = read_axes(file(tmp_path, said), [table])
    new, found = axes.applied(table, roles_of_schema(SCHEMA))
    assert {"density", "lr"} <= set(new.columns)
    assert not {"tau", "learning_rate"} & set(new.columns)
    assert (role(found, "zeta"), role(found, "density")) == ("method", "merging")
    assert found.is_whole("zeta")
    assert found.method("ewc") == Named("Elastic", "penalised")
    assert "tau" in table.columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "columns: {zetta: method}",
            r"axes.yaml: columns.zetta: the trials table has no such axis; did you mean zeta\?",
        ),
        ("columns: {status: method}", "columns.status: the trials table has no such axis"),
        ("columns: {zeta: metod}", "columns.zeta: 'metod' is no role; did you mean method\\? allowed: method, merging"),
        ("columns: {zeta: 3}", "columns.zeta: 3 given; allowed: method"),
        ("columns: {lr: stream}", "columns.lr: 'stream' given; lr has the role training in every table"),
        ("columns: [zeta]", r"columns: \['zeta'\] given; allowed: a mapping \(role by column\)"),
        ("colums: {zeta: method}", "colums: unknown key; did you mean columns"),
        ("on: {}", "True is no name; put it in quotes"),
        ("zeta", "'zeta' given; allowed: a mapping"),
        ("columns: {zeta: method", "neither YAML nor JSON"),
        ("methods: {ewcc: {name: E}}", "methods.ewcc: the trials table has no such method; did you mean ewc"),
        ("methods: {ewc: {group: penalized}}", "methods.ewc.group: 'penalized' is no group; did you mean penalised"),
        ("methods: {ewc: E}", r"methods.ewc: 'E' given; allowed: a mapping \(name and group\)"),
        ("rename: {rate: lr}", "rename.rate: the trials table has no such column"),
        ("rename: {zeta: 3}", "rename.zeta: 3 given"),
        ("rename: {zeta: a, lr: a}", "more than one column is to be 'a'"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_allowed(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=message):
        read_axes(file(tmp_path, text), [trials(zeta=[1] * 6, status=["done"] * 6)])


def test_a_file_that_is_not_there_and_a_name_that_is_taken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere.yaml: it cannot be read: No such file"):
        read_axes(tmp_path / "nowhere.yaml", [])
    axes = read_axes(file(tmp_path, "rename: {zeta: lr}"), [trials(zeta=[1] * 6)])
    with pytest.raises(TableError, match="there is a column 'lr' beside 'zeta'"):
        axes.applied(trials(zeta=[1] * 6), STANDARD)


def test_a_file_for_two_tables_may_speak_of_what_one_of_them_lacks(tmp_path: Path) -> None:
    tables = [trials(zeta=[1] * 6), trials(tau=[1] * 6)]
    axes = read_axes(file(tmp_path, "{columns: {zeta: method, tau: merging}, rename: {tau: density}}"), tables)
    assert role(axes.applied(tables[0], STANDARD)[1], "zeta") == "method"
    assert "tau" not in axes.applied(tables[0], STANDARD)[1].said


def test_two_methods_of_one_name_are_refused() -> None:
    with pytest.raises(TableError, match="the methods ewc and full are both called 'Mine'"):
        seen_in(trials(), Roles(methods={"ewc": Named("Mine", "other"), "full": Named("Mine", "other")}))


SMALL = World(learned={("full", None): 0.8}, timelines=("finetune", "ema"), rates=(1e-4,), tasks=1)


def test_two_studies_say_together_what_columns_are() -> None:
    data = frames(SMALL)
    data["trials"]["zeta"] = 1.0
    first, second = (
        make_tables(data["trials"], data["tasks"], name=name, roles=roles)
        for name, roles in (
            ("a", Roles(said={"zeta": Column(role="method")}, methods={"full": Named("Full", "full")})),
            ("b", Roles(said={"tau": Column(role="merging")}, integers=frozenset({"n"}))),
        )
    )
    both = merge_studies(first, second).roles
    assert (role(both, "zeta"), role(both, "tau"), both.is_whole("n")) == ("method", "merging", True)
    assert both.method("full").name == "Full"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            Roles(said={"zeta": Column(role="method")}),
            Roles(said={"zeta": Column(role="training", marks=frozenset({"switch"}))}),
            "column 'zeta' is method in a and training, switch in b; .*retune analyse --axes",
        ),
        (
            Roles(seen={"zeta": Column(role="method")}),
            Roles(seen={"zeta": Column(role="merging")}),
            "column 'zeta' is method in a and merging in b",
        ),
        (
            Roles(methods={"m": Named("M", "adapter")}),
            Roles(methods={"m": Named("M", "selective")}),
            r"method 'm' is 'M' \(adapter\) in a and 'M' \(selective\) in b",
        ),
    ],
)
def test_two_studies_that_contradict_each_other_are_refused(first: Roles, second: Roles, message: str) -> None:
    with pytest.raises(TableError, match=message):
        joined(first, second, ("a", "b"))


def test_what_one_study_says_holds_where_the_other_only_shows() -> None:
    said, seen = Roles(said={"zeta": Column(role="training")}), Roles(seen={"zeta": Column(role="method")})
    assert role(joined(seen, said, ("a", "b")), "zeta") == "training"
