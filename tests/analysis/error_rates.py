"""How often findings are decided in studies without effects: `python -m tests.analysis.error_rates` prints the table.

Every config has the same truth, on the trade-off line. Claims that something is larger are false there, and should hold
in no more than 2.5 % of studies; that they do not hold is right. Claims that a thing is no worse by a point (8, 12, 19
and 23) are true. How often a true claim is refuted is measured where all its parts are true by the smallest difference
worth naming. Where all claims are true, by effects of a few points, the share that held is their power.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.findings.claims import CLAIMS, evaluate_findings, find
from analysis.findings.evidence import NEGLIGIBLE, Test
from analysis.findings.findings import Finding, corrected
from analysis.findings.pairs import Side, comparison_of
from analysis.findings.verdicts import decide
from analysis.frontier import build_frontier
from analysis.tables.loading import make_tables
from tests.analysis.all_claims import study_of
from tests.analysis.ways import Way, evidence, plain, way
from tests.analysis.worlds import MORE_KINDS, Frames, World, frames, method_frames

NOISE = 0.004
TRUE = frozenset({8, 12, 19, 23})
"""Claims that a thing is no worse than another by a point, which is so in a study without effects."""
RECIPES = (*range(9, 21), *range(22, 26))
NAMES = ("full", "lnfit", "bitfit", "lora", "lora 64", "dora", "vera", "galore", "ewc", "ewc strong", "si")
NULL = World(
    learned={("full", None): 0.5, ("lora", 2): 0.5},
    rate_slide=0.0,
    rate_cost=0.0,
    merge_lift=0.0,
    merge_slide=0.0,
    base_lift=0.0,
    noise_sd=NOISE,
    tasks=1,
)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of studies that test a claim in which it held, and did not hold; `standing` is either after Holm."""

    studies: int
    held: float
    fell: float
    standing: float


Study = Callable[[int, int], Iterable[Finding]]
"""The findings of one study without effects, from its seed and number of blocks."""


def null_study(seed: int, blocks: int) -> Iterable[Finding]:
    """Full fine-tuning and LoRA, plain, EMA- and ZS-merge, three rates: all configs of one truth."""
    return _findings(frames(replace(NULL, seed=seed, blocks=blocks)))


def null_methods(seed: int, blocks: int) -> Iterable[Finding]:
    """Methods without merging at one rate, so that all configs have one truth."""
    kinds = {name: replace(MORE_KINDS[name], slide=0.5, lift=0.0) for name in NAMES}
    return _findings(method_frames(replace(NULL, seed=seed, blocks=blocks, rates=(1e-4,)), kinds))


def null_recipes(seed: int, blocks: int) -> Iterable[Finding]:
    """Merges, rules, places, schedules, sizes, towers, orderings and shares: paths of one truth but for noise."""
    study = evidence(*_recipes(), noise=NOISE, line=0.7, seed=seed, blocks=blocks)
    return corrected([find(study, number) for number in RECIPES])


def true_study(seed: int, blocks: int) -> Iterable[Finding]:
    """All claims in a world where they are true, with the same noise."""
    study = study_of(noise=NOISE, seed=seed, blocks=blocks)
    return corrected([find(study, number) for number in CLAIMS])


def refuted_at_the_threshold(*, parts: int, blocks: int, studies: int, seed: int = 0) -> tuple[float, float]:
    """Of claims whose parts are true by the smallest difference worth naming: how many fail, or have a part fail.

    The first is the error rate of `did not hold`, the second what it would be if any part could refute a claim alone.
    """
    rng = np.random.default_rng(seed)
    tests = []
    for _ in range(studies):
        values = rng.normal(NEGLIGIBLE, NOISE, (parts, 1, blocks))
        tests.append(Test(decisive=tuple(comparison_of(one, "AKA", Side(name="a"), Side(name="b")) for one in values)))
    alone = [any(part.verdict == "did not hold" for part in test.decisive) for test in tests]
    return float(np.mean([decide(test).verdict == "did not hold" for test in tests])), float(np.mean(alone))


def error_rates(study: Study, *, studies: int, blocks: int) -> dict[int, Rates]:
    """By number of the finding, where a study tests it."""
    verdicts: dict[int, list[Finding]] = {}
    for seed in range(studies):
        for finding in study(seed, blocks):
            if finding.verdict != "not tested":
                verdicts.setdefault(finding.number, []).append(finding)
    return {
        number: Rates(
            studies=len(found),
            held=float(np.mean([finding.verdict == "held" for finding in found])),
            fell=float(np.mean([finding.verdict == "did not hold" for finding in found])),
            standing=float(np.mean([bool(finding.stands) for finding in found])),
        )
        for number, found in sorted(verdicts.items())
    }


def _recipes() -> list[Way]:
    """All at (.6, .7) after straight paths, so that no recipe does more than another."""
    end, first = (0.6, 0.7), (0.4 + 0.2 / 6, 0.8 - 0.1 / 6)

    def one(**axes: Any) -> Way:
        return plain(*end, first=first, **{"size": "s", **axes})

    def merge(start: str, serve: str, **axes: Any) -> Way:
        return way(
            start,
            serve,
            *end,
            first=first,
            schedule="cosine",
            temperature=None,
            ordering="random",
            pool_share=0.33,
            **{"steps": 14, "size": "s", **axes},
        )

    return [
        *(one(lr=rate) for rate in (1e-4, 1e-3, 1e-2)),
        *(one(schedule=name) for name in ("rsqrt", "autoregressive_cosine", "autoregressive_rsqrt")),
        *(one(method=name) for name in ("locked_image", "locked_text")),
        *(one(ordering=name) for name in ("time", "similarity")),
        *(one(**{name: 0.0}) for name in ("buffer_share", "pool_share")),
        one(steps=56),
        one(size="m"),
        one(temperature=0.07),
        *(merge("ema", "ema", w=w) for w in (0.5, 0.9)),
        *(merge("ema", "ema", rule=rule) for rule in ("ties", "magmax")),
        *(merge(start, serve, w=0.5) for start, serve in (("base", "ema"), ("last", "ema"))),
        merge("base", "all"),
        merge("ema", "ema", w=0.5, steps=56),
        merge("ema", "ema", w=0.5, size="m"),
    ]


def _findings(tables: Frames) -> Iterable[Finding]:
    return evaluate_findings(
        build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))
    )


def main() -> None:
    """Print a line for every kind of study, number of blocks, and finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    print("study          blocks  finding  held %  did not hold %  after Holm %")
    for study in (null_study, null_methods, null_recipes, true_study):
        for blocks in (3, 5):
            for number, rate in error_rates(study, studies=studies, blocks=blocks).items():
                shares = f"{100 * rate.held:6.1f}  {100 * rate.fell:14.1f}  {100 * rate.standing:12.1f}"
                print(f"{study.__name__:14} {blocks:6}  {number:7}  {shares}")
    print("parts  blocks  did not hold %  any part did not %   (all true by the smallest difference worth naming)")
    for parts in (1, 2, 5, 8):
        for blocks in (3, 5):
            both = refuted_at_the_threshold(parts=parts, blocks=blocks, studies=10 * studies)
            print(f"{parts:5}  {blocks:6}  {100 * both[0]:14.1f}  {100 * both[1]:18.1f}")


if __name__ == "__main__":
    main()
