"""Merging the weights of ViT-B-16 (150 M random parameters) in memory and in files, in one process, one thread.

In memory, medians over rounds that go through all ways in turn:
* `lerp_`: bandwidth of the in-place interpolation (two reads, one write) over that of torch's plain copy, add and scale
  of the same tensors (seven passes over memory in three loops);
* every rule on two models as a multiple of `lerp`, which makes new tensors as they all do; and the naive
  `{k: w * a[k] + (1 - w) * b[k]}` as a multiple of `lerp_`.
In files: `merge_files` of two against copying both (`shutil.copyfile`), and the growth of peak memory over one model
(in a process of its own, after a merge of small files).

Measured:

* `lerp_` 45 GB/s, plain copy, add and scale 38 GB/s: 1.19 of its bandwidth; the naive comprehension takes 7 to 30 times
  as long as `lerp_`, most of it the system's, for pages of new memory.
* In multiples of `lerp`, which takes 0.12 to 0.4 s for the same reason, at its 0.4 s: slerp 1.0, task_arithmetic 1.3,
  fisher 2.2, magmax 2.9, model_stock 3.1, tall_masks 3.2, ties 3.6 (1.4 s), ties + LiNeS 3.7, random 3.8,
  breadcrumbs 7.5, dare_ties 7.9, dare 8.1, breadcrumbs_ties 8.5.
* Files: lerp 1.09 and ties 3.46 of copying both (0.74 s); peak memory 0.51 of one model for lerp, 0.85 for slerp, 1.10
  for ties, where 1.37 (1.2 and the largest tensor) is allowed.

    python -m tests.benchmarks.merging [--rounds 5] [--threads 1]
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor

from trainables.merging.merge import MergeInputs, lerp, lerp_, merge
from trainables.merging.merge_files import merge_files
from trainables.merging.rule import ROWS, MergeRule

State = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base = {
        name: tensor.detach() for name, tensor in CLIP(**open_clip.get_model_config("ViT-B-16")).state_dict().items()
    }
    old, new = (_moved(base, seed) for seed in (1, 2))
    print(json.dumps(_in_memory(base, old, new, options.rounds), indent=2))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(_in_files(Path(folder), base, old, new, options.rounds), indent=2))


def _moved(base: State, seed: int) -> State:
    rng = torch.Generator().manual_seed(seed)
    return {name: tensor + 0.01 * torch.randn(tensor.shape, generator=rng) for name, tensor in base.items()}


def _in_memory(base: State, old: State, new: State, rounds: int) -> dict[str, object]:
    size = sum(tensor.numel() * tensor.element_size() for tensor in base.values())
    total = {name: tensor.clone() for name, tensor in old.items()}
    fishers = tuple({name: tensor.square() for name, tensor in one.items()} for one in (old, new))

    def plain() -> None:
        for out, a in zip(total.values(), old.values(), strict=True):
            out.copy_(a)
        for out, b in zip(total.values(), new.values(), strict=True):
            out.add_(b)
        for out in total.values():
            out.mul_(0.5)

    def of(name: str) -> Callable[[], object]:
        rule = MergeRule.model_validate({"name": name})
        weights = (0.9, 1 - 0.9) if rule.row.weighs else None
        return lambda: merge(rule, MergeInputs(states=(old, new), weights=weights, base=base, fishers=fishers))

    ways: dict[str, Callable[[], object]] = {
        "plain": plain,
        "lerp_": lambda: lerp_(total, new, w=0.9),
        "naive": lambda: {name: 0.9 * old[name] + (1 - 0.9) * new[name] for name in old},
        "lerp": lambda: lerp(old, new, w=0.9),
        **{name: of(name) for name in ROWS if name != "lerp"},
        "ties + LiNeS": lambda: merge(
            MergeRule(name="ties", lines="linear"), MergeInputs(states=(old, new), base=base)
        ),
    }
    seconds = _medians(ways, rounds)
    rules = {
        name: round(seconds[name] / seconds["lerp"], 1) for name in ways if name not in ("plain", "lerp_", "naive")
    }
    return {
        "lerp_ GB/s": round(3 * size / seconds["lerp_"] / 1e9, 1),
        "copy, add, scale GB/s": round(7 * size / seconds["plain"] / 1e9, 1),
        "bandwidth of lerp_ / plain": round(3 / 7 * seconds["plain"] / seconds["lerp_"], 2),
        "naive / lerp_": round(seconds["naive"] / seconds["lerp_"], 1),
        "lerp, ms": round(1e3 * seconds["lerp"]),
        "rule / lerp": rules,
    }


def _in_files(folder: Path, base: State, old: State, new: State, rounds: int) -> dict[str, object]:
    paths = {name: folder / f"{name}.safetensors" for name in ("base", "old", "new")}
    for name, state in (("base", base), ("old", old), ("new", new)):
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, paths[name])
    inputs, out = [paths["old"], paths["new"]], folder / "out.safetensors"

    def copy() -> None:
        for path in inputs:
            shutil.copyfile(path, folder / f"copy-{path.name}")

    seconds = _medians(
        {
            "copy": copy,
            "lerp": lambda: merge_files(MergeRule(), inputs, out, weights=(0.9, 1 - 0.9)),
            "ties": lambda: merge_files(MergeRule(name="ties"), inputs, out, base=paths["base"]),
        },
        rounds,
    )
    size = paths["base"].stat().st_size
    tensor = max(one.numel() * one.element_size() for one in base.values())
    peaks = {name: _peak(folder, name) for name in ("lerp", "slerp", "ties")}
    return {
        "copying two files, s": round(seconds["copy"], 2),
        "lerp / copy": round(seconds["lerp"] / seconds["copy"], 2),
        "ties / copy": round(seconds["ties"] / seconds["copy"], 2),
        "peak memory / one model": {name: round(peak / size, 2) for name, peak in peaks.items()},
        "allowed": round(1.2 + tensor / size, 2),
    }


def _peak(folder: Path, name: str) -> int:
    code = f"""
import re, torch
from pathlib import Path
from safetensors.torch import save_file
from trainables.merging.merge_files import merge_files
from trainables.merging.rule import MergeRule
torch.set_num_threads(1)
folder, rule = Path({str(folder)!r}), MergeRule(name={name!r})
def run(old, new, base):
    weights = (.9, .1) if rule.row.weighs else None
    merge_files(rule, [old, new], folder / "peak.safetensors", weights=weights, base=base if rule.needs_base else None)
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
small = [folder / f"small{{i}}.safetensors" for i in range(3)]
for path in small:
    save_file({{"w": torch.randn(1000)}}, path)
before = run(*small)
print(run(*(folder / f"{{n}}.safetensors" for n in ("old", "new", "base"))) - before)
"""
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def _medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if i:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
