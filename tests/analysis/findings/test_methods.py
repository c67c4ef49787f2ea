"""Claims about methods in worlds where the truth is known: held, did not hold, undecided, not tested."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.findings.claims import evaluate_findings
from analysis.findings.evidence import evidence_of
from analysis.findings.findings import Finding
from analysis.frontier import Frontier, build_frontier
from analysis.tables.loading import make_tables
from analysis.writing.sentences import comparison_sentence, levels
from tests.analysis.worlds import MORE_KINDS, Frames, Kind, World, method_frames, method_truths

WORLD = World(noise_sd=0.0004, tasks=1)
STILL = replace(WORLD, noise_sd=0.0, block_sd=0.0)
NAMES = ("full", "lnfit", "bitfit", "lora", "lora 64", "dora", "vera", "galore", "ewc", "ewc strong")
PAPER = {name: MORE_KINDS[name] for name in NAMES}
WITH_SI = {**PAPER, "si": MORE_KINDS["si"]}
NUMBERS = range(1, 9)


def frontier_of(tables: Frames) -> Frontier:
    return build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))


def findings_of(kinds: Mapping[str, Kind], world: World = WORLD) -> tuple[Finding, ...]:
    return evaluate_findings(frontier_of(method_frames(world, kinds)))


def changed(**values: tuple[float, float]) -> dict[str, Kind]:
    """The paper's world with other (slide, lift) for some methods; `lora_64` is `lora 64`."""
    kinds = dict(WITH_SI)
    for name, (slide, lift) in values.items():
        kinds[name.replace("_", " ")] = replace(kinds[name.replace("_", " ")], slide=slide, lift=lift)
    return kinds


def without(*names: str) -> dict[str, Kind]:
    return {name: kind for name, kind in WITH_SI.items() if name not in names}


def test_all_hold_in_the_papers_world() -> None:
    found = findings_of(PAPER)[:7]
    assert [finding.verdict for finding in found] == ["held"] * 7
    assert all("2408.14471, section 5" in finding.source for finding in found)
    assert findings_of(WITH_SI)[7].verdict == "held"


@pytest.mark.parametrize(
    ("number", "kinds", "failed"),
    [
        (1, changed(full=(0.5, -1.6), si=(0.5, -1.6)), {0}),
        (1, changed(full=(0.9, 4.0)), {1}),
        (2, changed(lnfit=(0.9, -2.0), bitfit=(0.9, -2.0)), {0, 1}),
        (2, changed(lnfit=(0.12, -9.0), bitfit=(0.12, -9.0)), {0}),
        (3, changed(lora=(0.98, -1.0), lora_64=(0.98, -1.0), dora=(0.98, -1.0)), {0}),
        (3, changed(lora=(0.4, 0.9), lora_64=(0.4, 0.9), dora=(0.4, 0.9)), {2}),
        (4, changed(lora_64=(0.2, -1.0)), {0}),
        (4, changed(lora_64=(0.58, -4.0)), {1}),
        (5, changed(vera=(0.45, -0.2)), {0}),
        (6, changed(galore=(0.2, -1.3)), {0, 2}),
        (6, changed(galore=(0.8, -6.0)), {1}),
        (7, changed(ewc=(0.95, -2.0), ewc_strong=(0.9, -2.0)), {0, 1}),
        (7, changed(ewc_strong=(0.6, -0.4)), {2}),
        (8, changed(si=(0.99, -1.6)), {0}),
        (8, changed(si=(0.5, 0.6)), {1}),
    ],
)
def test_a_claim_falls_with_the_part_that_is_turned(number: int, kinds: dict[str, Kind], failed: set[int]) -> None:
    finding = findings_of(kinds)[number - 1]
    assert finding.verdict == "did not hold"
    assert finding.reason is None
    parts = [comparison.verdict for comparison in finding.comparisons[: finding.decisive]]
    assert failed <= {i for i, part in enumerate(parts) if part == "did not hold"}


def test_noise_leaves_claims_undecided() -> None:
    """One rate, so that a true null is one; a claim of several parts is refuted by any of them, and so more often."""
    equal = {name: replace(kind, slide=0.5, lift=0.0) for name, kind in WITH_SI.items()}
    studies = [findings_of(equal, World(noise_sd=0.004, rates=(1e-4,), tasks=1, seed=seed))[:8] for seed in range(12)]
    verdicts = np.array([[finding.verdict for finding in study] for study in studies])
    assert (verdicts == "held").sum(axis=0).max() <= 3
    assert (verdicts == "undecided").mean() > 0.7


@pytest.mark.parametrize("number", NUMBERS)
def test_two_blocks_never_decide(number: int) -> None:
    finding = findings_of(WITH_SI, replace(WORLD, blocks=2))[number - 1]
    assert finding.verdict == "undecided"
    assert finding.reason is not None
    assert "2 blocks" in finding.reason


@pytest.mark.parametrize(
    ("number", "kinds"),
    [
        (1, without("full")),
        (1, {"full": WITH_SI["full"]}),
        (2, without("lnfit", "bitfit")),
        (3, without("lora", "lora 64", "dora")),
        (3, without("lnfit", "bitfit")),
        (4, without("lora 64")),
        (5, without("vera")),
        (6, without("galore")),
        (7, without("ewc", "ewc strong")),
        (8, without("si")),
    ],
)
def test_what_a_study_lacks_is_not_tested(number: int, kinds: dict[str, Kind]) -> None:
    finding = findings_of(kinds)[number - 1]
    assert finding.verdict == "not tested"
    assert finding.missing
    assert finding.reason == f"the study lacks {'; '.join(finding.missing)}"
    assert finding.comparisons == ()


def test_only_what_is_missing_is_named() -> None:
    finding = findings_of(without("lora", "lora 64", "dora"))[2]
    assert finding.missing == ("LoRA or DoRA without merging (method lora or dora, timeline finetune)",)
    [need] = findings_of(without("lora 64"))[3].missing
    assert need.endswith("of another rank")
    [need] = findings_of(without("lora", "lora 64"))[3].missing
    assert need.endswith("of two ranks")


@pytest.mark.parametrize("number", [3, 4])
def test_without_a_line_the_line_is_not_tested(number: int) -> None:
    finding = findings_of(WITH_SI, replace(WORLD, with_joint=False))[number - 1]
    assert finding.verdict == "not tested"
    assert finding.reason is not None
    assert "joint" in finding.reason


def test_without_a_line_the_rest_is_tested_at_the_best_gm() -> None:
    found = findings_of(PAPER, replace(WORLD, with_joint=False))
    assert {finding.number for finding in found[:7] if finding.verdict != "not tested"} == {1, 2, 5, 6, 7}


def points_of(name: str) -> list[tuple[float, float]]:
    """The true (AKA, AZS) of a method at every rate."""
    return [truth.point for truth in method_truths(STILL, {name: MORE_KINDS[name]})]


def best_of(name: str) -> tuple[float, float]:
    """The same at the rate of the highest GM."""
    return max(points_of(name), key=lambda point: point[0] * point[1])


def test_differences_by_hand() -> None:
    """Without noise every method is at its best GM, and for the most that it accumulates at its highest AKA."""
    found = findings_of(WITH_SI, STILL)
    high, low = found[0].comparisons[:2]
    most = {name: max(aka for aka, _ in points_of(name)) for name in ("full", "galore")}
    assert high.difference.value == pytest.approx(most["full"] - most["galore"])
    assert high.right == "GaLore r8 (the highest of 8)"
    least = min(best_of(name)[1] for name in PAPER if name not in ("full", "ewc strong"))
    assert low.difference.value == pytest.approx(least - best_of("full")[1])
    assert low.right_point == pytest.approx(best_of("full"))
    assert found[6].comparisons[1].difference.value == pytest.approx(best_of("full")[0] - best_of("ewc")[0])
    assert found[7].comparisons[0].difference.value == pytest.approx(0.05 * (STILL.joint[0] - STILL.zero_shot[0]))


def test_a_penalty_that_turns_learning_round_is_far_from_zero_shot() -> None:
    """EWC below zero-shot by more than full fine-tuning is above it: not nearer, though its AKA is lower."""
    distance = findings_of(changed(ewc=(-1.6, -1.0), ewc_strong=(-1.6, -1.0)), STILL)[6].comparisons[1]
    assert distance.difference.value < 0


def test_every_other_method_is_shown_beside_selective_tuning() -> None:
    finding = findings_of(PAPER)[1]
    assert [item.left for item in finding.comparisons[2:]] == ["LNFit/BitFit"] * 5
    assert {item.right for item in finding.comparisons[2:]} == {
        *("full fine-tuning", "LoRA r4", "LoRA r64", "DoRA r4", "GaLore r8")
    }


def test_one_selective_method_that_forgets_is_enough_against_two() -> None:
    """The mean of LNFit and BitFit would retain most; LNFit alone does not."""
    finding = findings_of(changed(lnfit=(0.12, -5.0), bitfit=(0.15, 4.0)))[1]
    assert finding.comparisons[0].left == "LNFit (the lowest of 2)"
    assert finding.verdict == "did not hold"
    assert all(item.difference.value > 0 for item in finding.comparisons[2:])


def test_other_methods_have_no_say_in_one_and_two() -> None:
    """Locked towers, SI and others: more AKA than full fine-tuning, less AZS, or less AKA than LNFit."""
    names = ("locked_image", "locked_text", "si", "l2init", "freeze_mlp", "ia3", "fourierft")
    many = {name: replace(MORE_KINDS[name], slide=1.2 if i % 2 else 0.01, lift=-9) for i, name in enumerate(names)}
    for alone, among in zip(findings_of(PAPER)[:7], findings_of({**PAPER, **many})[:7], strict=True):
        assert (alone.verdict, among.verdict) == ("held", "held")


def test_vera_must_have_learned_something() -> None:
    """At a rate too small for it VeRA learns nothing, and is nearer LNFit than LoRA for that reason alone."""
    finding = findings_of(changed(vera=(0.02, 0.0)))[4]
    assert finding.comparisons[0].verdict == "held"
    assert finding.verdict == "undecided"
    assert finding.missing == ("a learning rate at which VeRA is shown to learn something",)


def test_ranks_are_compared_at_their_best_gm() -> None:
    """Gain would judge a rank where it learned least; GM judges it at one rate on all blocks, where it learned."""
    evidence = evidence_of(frontier_of(method_frames(WORLD, PAPER)))
    for rank in (4, 64):
        rows = evidence.rows(method="lora", rank=rank)
        [best] = {evidence.configs[row].number("lr") for row in evidence.highest(rows, "GM")}
        [tempting] = {evidence.configs[row].number("lr") for row in evidence.highest(rows, "gain")}
        assert (best, tempting) == (1e-3, 1e-5)


def test_a_composed_penalty_is_another_method() -> None:
    found = findings_of({**PAPER, "lora + ewc": replace(MORE_KINDS["lora + ewc"], slide=0.99, lift=9.0)})
    assert [finding.verdict for finding in found[:7]] == ["held"] * 7


def with_schedules(kinds_of: Mapping[str, Mapping[str, Kind]], *, joint_from: str) -> Frames:
    """One study of several schedules, each with its own methods."""
    parts: dict[str, list[pd.DataFrame]] = {"trials": [], "tasks": [], "scores": []}
    for schedule, kinds in kinds_of.items():
        tables = method_frames(WORLD, kinds)
        keep = tables["trials"]["kind"].eq("trial") | (schedule == joint_from)
        kept = set(tables["trials"].loc[keep, "trial"])
        for name, frame in tables.items():
            part = frame[frame["trial"].isin(kept)]
            part = part.assign(trial=schedule + part["trial"])
            if name == "trials":
                part = part.assign(schedule=schedule, config_id=schedule + part["config_id"])
            parts[name].append(part)
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


def test_methods_are_compared_within_each_way_of_training() -> None:
    tables = with_schedules({"cosine": PAPER, "constant": PAPER}, joint_from="cosine")
    found = evaluate_findings(frontier_of(tables))
    assert [finding.verdict for finding in found[:7]] == ["held"] * 7
    assert {item.pairs for finding in found[:7] for item in finding.comparisons[: finding.decisive]} == {2}


def test_methods_that_were_never_trained_alike_are_not_compared() -> None:
    tables = with_schedules({"cosine": {"full": PAPER["full"]}, "constant": without("full")}, joint_from="cosine")
    finding = evaluate_findings(frontier_of(tables))[5]
    assert finding.verdict == "not tested"
    assert finding.reason is not None
    assert "full fine-tuning without merging (method full" in finding.reason
    assert finding.reason.endswith("(among configs that were trained in the way that most were)")


def test_full_fine_tuning_is_shown_beside_lora_of_the_lowest_rank() -> None:
    """At every rate 0.85 - 0.40 of what joint training learns, times what a rate takes off; best at the largest."""
    further = [item for item in findings_of(WITH_SI, STILL)[0].comparisons if "at " in item.right]
    expected = 0.45 * (STILL.joint[0] - STILL.zero_shot[0]) * np.array([1.12, 0.72, 1.0, 1.12])
    assert [item.difference.value for item in further] == pytest.approx(expected.tolist())
    assert all("LoRA r4" in item.right for item in further)


def test_sentences() -> None:
    finding = findings_of(WITH_SI, STILL)[7]
    assert comparison_sentence(finding.comparisons[0]) == (
        "Full fine-tuning plus 0.9 points is 0.88 \u00b1 0.00 points of AKA above SI"
    )
    assert levels(finding.comparisons[0]) == "AKA / AZS 55.16 / 60.04 against 55.16 / 60.04 %"
    vera = findings_of(PAPER, STILL)[4].comparisons[0]
    assert comparison_sentence(vera).startswith("The middle between LoRA and LNFit/BitFit is ")
