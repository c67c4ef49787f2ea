"""Verdicts do not turn round with the name of a column: the same numbers, with axes named by strangers."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from analysis.findings.claims import evaluate_findings
from analysis.findings.evidence import Verdict
from analysis.findings.findings import Finding
from analysis.findings.merges import larger_merge_weight_keeps_more, merging_gains_from_the_start
from analysis.findings.times import places_change_much, rules_change_little
from analysis.frontier import build_frontier
from analysis.roles import STANDARD, Column, Roles
from analysis.tables.loading import load_axes, load_tables, make_tables
from analysis.tables.tables import Tables
from tests.analysis.findings.test_methods import WITH_SI, WORLD
from tests.analysis.ways import ClaimTest, Way, evidence, parts, verdict, way
from tests.analysis.worlds import Frames, Kind, method_frames, write_study


def poor(name: str, **axes: object) -> Kind:
    """The same method with settings at which it retains nothing: a fair comparison does not choose them."""
    kind = WITH_SI[name]
    return replace(kind, lift=kind.lift - 30, axes={**kind.axes, **axes})


KINDS: Mapping[str, Kind] = {
    **WITH_SI,
    "lora poor": poor("lora", alpha=64.0),
    "dora poor": poor("dora", targets="attention"),
    "vera poor": poor("vera", layers="0-2"),
    "galore poor": poor("galore", gap=7, scale=9.0),
    "ewc poor": poor("ewc", gamma=0.5),
    "si poor": poor("si", xi=1.0),
}
STRANGE = {
    **{"gamma": "zeta", "fisher_samples": "batch_count", "xi": "eps", "alpha": "scaling_of_BA", "targets": "where"},
    **{"layers": "depth", "towers": "branch", "lifetime": "after_task", "gap": "period", "scale": "c", "side": "which"},
}
Said = list[tuple[Verdict, list[float]]]
"""The verdicts of claims, and all differences behind them."""
EVERYWHERE = {"logit_scale": "trains_tau"}
"""All methods have it, so that no cell shows what it is for."""


def findings_of(tables: Tables) -> tuple[Finding, ...]:
    return evaluate_findings(build_frontier(tables), tables)[:8]


def said(findings: tuple[Finding, ...]) -> Said:
    return [(one.verdict, [part.difference.value for part in one.comparisons]) for one in findings]


@cache
def world() -> Frames:
    frames = method_frames(WORLD, KINDS)
    return {name: frames[name] for name in ("trials", "tasks")}


def strange(names: Mapping[str, str]) -> Frames:
    return {**world(), "trials": world()["trials"].rename(columns=dict(names))}


def made(frames: Frames, roles: Roles = STANDARD) -> Tables:
    return make_tables(frames["trials"], frames["tasks"], name="study", roles=roles)


@pytest.fixture(scope="module")
def expected() -> Said:
    """The verdicts with our names: each method at its best, so that the poor settings stand for nothing."""
    found = findings_of(made(strange({})))
    assert [one.verdict for one in found[1:]] == ["held"] * 7
    return said(found)


def test_what_some_methods_lack_is_the_others_own(expected: Said) -> None:
    tables = made(strange(STRANGE))
    assert said(findings_of(tables)) == expected
    [note] = tables.warnings
    assert all(name in note for name in STRANGE.values())


def test_a_file_says_what_no_cell_shows(expected: Said, tmp_path: Path) -> None:
    names = {**STRANGE, **EVERYWHERE}
    study = write_study(tmp_path, strange(names))
    assert said(findings_of(load_tables(study))) != expected
    (tmp_path / "axes.yaml").write_text(yaml.safe_dump({"columns": dict.fromkeys(names.values(), "method")}))
    tables = load_tables(study, load_axes(tmp_path / "axes.yaml", study))
    assert said(findings_of(tables)) == expected
    assert tables.warnings == ()


def test_a_file_gives_columns_the_names_that_claims_ask_for(expected: Said, tmp_path: Path) -> None:
    names = {**STRANGE, **EVERYWHERE, "lr": "learning_rate", "strength": "lambda", "rank": "r"}
    study = write_study(tmp_path, strange(names))
    (tmp_path / "axes.json").write_text(str({"rename": {new: old for old, new in names.items()}}).replace("'", '"'))
    assert said(findings_of(load_tables(study, load_axes(tmp_path / "axes.json", study)))) == expected


def test_columns_say_it_themselves(expected: Said, tmp_path: Path) -> None:
    names = {**STRANGE, **EVERYWHERE}
    study = write_study(tmp_path, strange(names))
    path = study / "tables" / "trials.parquet"
    table = pq.read_table(path)
    fields = [
        field.with_metadata({"retune.role": "method"}) if field.name in names.values() else field
        for field in table.schema
    ]
    pq.write_table(table.cast(pa.schema(fields)), path)
    tables = load_tables(study)
    assert said(findings_of(tables)) == expected
    assert tables.warnings == ()


@cache
def ewc_world() -> Frames:
    settings = {"ewc": WITH_SI["ewc"], "ewc poor": poor("ewc")}
    ewc = {name: replace(kind, axes={"gamma": gamma}) for gamma, (name, kind) in enumerate(settings.items())}
    return method_frames(WORLD, {**{name: WITH_SI[name] for name in ("full", "lnfit", "lora")}, **ewc})


@pytest.mark.parametrize("name", ["gamma", "zeta", "temperature", "density", "n"])
def test_seven_is_the_same_whatever_the_setting_of_ewc_is_called(name: str) -> None:
    """Averaged over, in place of the best being chosen, the poor setting turns the claim round."""
    frames = ewc_world()
    frames = {**frames, "trials": frames["trials"].rename(columns={"gamma": name})}
    best, averaged = (
        findings_of(made(frames, roles))[6].comparisons[0]
        for roles in (STANDARD, Roles(said={name: Column(role="training")}))
    )
    assert best.verdict == "held"
    assert best.difference.value == pytest.approx(0.058, abs=0.01)
    assert averaged.verdict == "did not hold"


MERGING = [
    way("last", "last", 0.6, 0.6),
    *(way("ema", "ema", 0.65 - w / 20, 0.75 + w / 30, w=w) for w in (0.5, 0.9)),
    way("base", "ema", 0.62, 0.76, w=0.5),
    *(
        way("ema", "ema", 0.6, azs, rule="ties", density=share, merge_scale=1.0)
        for share, azs in ((0.1, 0.5), (0.3, 0.77))
    ),
    way("all", "all", 0.5, 0.7, chain=None),
]


def renamed(ways: list[Way], names: Mapping[str, str], roles: Roles) -> list[Way]:
    return [
        (replace(config, axes={names.get(axis, axis): value for axis, value in config.axes.items()}, roles=roles), x, y)
        for config, x, y in ways
    ]


@pytest.mark.parametrize(
    "claim",
    [merging_gains_from_the_start, larger_merge_weight_keeps_more, rules_change_little, places_change_much],
)
def test_settings_of_merging_may_have_any_name(claim: ClaimTest) -> None:
    names = {"density": "keep", "merge_scale": "factor", "chain": "begins"}
    roles = Roles(said={name: Column(role="merging") for name in names.values()})
    ours, theirs = claim(evidence(*MERGING)), claim(evidence(*renamed(MERGING, names, roles)))
    assert (verdict(theirs), parts(theirs)) == (verdict(ours), parts(ours))
