"""What `retune plan` says of an estimate."""

from dataclasses import replace

from study.planning.estimate import Estimate, Group, MethodPrice, lines, size_in_words

PRICE = MethodPrice(
    method="lora r4",
    trials=2,
    steps=(4, 6),
    flops_per_step=1.5e9,
    mafs_per_step=1e9,
    mafs_per_trial=1e10,
    seconds_per_trial=61.0,
)
FOUND = Estimate(
    trials=4,
    anchors=1,
    configs=2,
    blocks=2,
    tasks=2,
    updates_total=9,
    updates_unique=7,
    updates_in_store=3,
    evaluations_unique=8,
    evaluations_in_store=5,
    steps_total=50,
    steps_unique=40,
    flops=6e10,
    mafs=4e10,
    flops_to_do=3e10,
    seconds_to_do=3600.0,
    is_timed=True,
    gpus=None,
    bytes_to_do=2_000_000,
    bytes_to_read=1_000_000,
    bytes_peak={"needed": 3_000_000, "final": 4_000_000, "all": 5_000_000},
    workers=2,
    training_precision=("bf16",),
    evaluation_precision="tf32",
    by_start={"base": Group(trials=4, updates_total=8, updates_unique=6)},
    by_method=(PRICE, replace(PRICE, method="full", steps=(5, 5), seconds_per_trial=None)),
    warnings=(),
)


def test_an_estimate_in_lines() -> None:
    assert list(lines(FOUND, keep="needed")) == [
        "trials    4 = 2 configs x 2 blocks, 2 tasks each; 1 anchors",
        "updates   7 unique of 9 (2 shared), 3 in the store; 40 steps",
        "precision training bf16, evaluation tf32",
        "steps     a task; FLOPs and MAFs of one; MAFs and training time of a trial",
        "          lora r4   4-6 steps; 1.5e+09, 1e+09; 1e+10, about 1:01",
        "          full        5 steps; 1.5e+09, 1e+09; 1e+10, ? (too little memory)",
        "scores    8 evaluations, 5 in the store",
        "FLOPs     6e+10, memory-adjusted 4e+10; to do 3e+10",
        "time      about 1:00:00 on 2 workers here",
        "bytes     about 2 MB more in the store, and trials read 1 MB of each other's updates at the most; of updates "
        "at once at the most 3 MB (keep: needed), 5 MB if nothing is freed",
    ]


def test_starts_are_told_apart_when_there_are_several() -> None:
    starts = {
        "base": Group(trials=3, updates_total=6, updates_unique=4),
        "ema": Group(trials=1, updates_total=2, updates_unique=2),
    }
    assert list(lines(replace(FOUND, by_start=starts), keep="all"))[2:4] == [
        "          start base:    3 trials need 6 updates, 4 unique",
        "          start ema:     1 trials need 2 updates, 2 unique",
    ]


def test_sizes_have_a_unit_of_which_there_are_few() -> None:
    assert [size_in_words(size) for size in (20, 2e6, 5.07e9, 3.15654e11, 2.5e15)] == [
        *("0.02 kB", "2 MB", "5.07 GB", "316 GB", "2.5e+03 TB"),
    ]
