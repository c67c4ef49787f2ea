"""The decision: its numbers against the frontier's, and limits that are kept."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.advice.decision import LEARNED_SHARE, MAX_LOSS, decide
from analysis.frontier import Frontier
from tests.analysis.worlds import World, frames, frontier_of

SMALL = World(learned={("full", None): 0.8, ("lora", 2): 0.5}, timelines=("finetune", "ema"), rates=(1e-4,), tasks=1)


def test_the_baseline_is_full_fine_tuning_without_merging_at_its_best(study: Frontier) -> None:
    decision = decide(study)
    assert decision.baseline is not None
    plain = [r for r in study.results if r.config.axes["method"] == "full" and r.config.timeline == "finetune"]
    assert decision.baseline.other is plain[0]
    headline = study.headline
    assert headline.gain is not None
    assert plain[0].gain is not None
    assert decision.baseline.difference.value == pytest.approx(headline.gain.value - plain[0].gain.value)
    split = decision.baseline.dominance.split
    assert split is not None
    assert split.a_retains_more + split.a_dominates > 0.9


def test_choices_keep_their_limits(study: Frontier) -> None:
    decision = decide(study)
    z = study.zero_shot
    assert decision.at_loss.row is not None
    chosen = study.results[decision.at_loss.row]
    kept = [result for result in study.results if z.azs.value - result.azs.value <= MAX_LOSS]
    assert chosen.aka.value == max(result.aka.value for result in kept)
    assert study.joint is not None
    assert decision.min_learned is not None
    assert decision.min_learned == pytest.approx(LEARNED_SHARE * (study.joint.aka.value - z.aka.value))
    assert decision.at_learning is not None
    assert decision.at_learning.row is not None
    assert study.results[decision.at_learning.row].aka.value - z.aka.value >= decision.min_learned


def test_differences_are_paired() -> None:
    """Noise that all configs of a block share is in no interval of a difference, but for what it does to the line."""
    decision = decide(frontier_of(frames(replace(SMALL, block_sd=0.02, noise_sd=0.0))))
    assert decision.baseline is not None
    assert decision.baseline.difference.se is not None
    assert decision.headline.aka.se is not None
    assert decision.baseline.difference.se < 0.1 * decision.headline.aka.se
    assert np.isfinite(decision.baseline.difference.value)
