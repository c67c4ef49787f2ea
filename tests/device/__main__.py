"""Measurements and checks that a GPU has to make; a JSON line for each, the most telling first, and a last one.

All takes less than twelve minutes of an H200, without network or Ray, and no files but in a temporary folder. With
`--tiny` sizes are those of a test, on a CPU as well: what only a GPU can show says then that it needs one.

    python -m tests.device [--tiny] [--only PART ...] [--out FILE]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.device import bits, machine, rates, steps, timeline
from tests.device.running import Entry, Line, has_gpu, run
from tests.device.setting import Setting

DATA = "data"

PARTS: Mapping[str, Entry] = {
    DATA: Entry(machine.data, 70),
    "machine": Entry(machine.machine, 20),
    "step": Entry(steps.step, 60),
    "memory": Entry(steps.memory, 75),
    "training": Entry(rates.training, 65),
    "determinism": Entry(bits.determinism, 90, forks=True),
    "timeline": Entry(timeline.timeline, 30),
    "evaluation": Entry(rates.evaluation, 60),
    "methods": Entry(bits.methods_raise, 35),
    "large": Entry(steps.large, 105),
    "shared": Entry(rates.shared, 45, forks=True),
    "around": Entry(machine.around, 15),
    "architectures": Entry(bits.architectures_raise, 50),
}
"""All parts, in order, with the seconds that each may take."""

NEEDS_GPU = "NeedsGpuError"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small sizes, for a test of this script")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="a file for the lines, which are printed as well")
    options = parser.parse_args(arguments)
    lines: list[Line] = []

    def tell(said: Mapping[str, object]) -> None:
        text = json.dumps(said)
        print(text, flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(f"{text}\n")

    device = "cuda" if has_gpu() else "cpu"
    if device == "cpu" and not options.tiny:
        parser.error("there is no GPU here, on which all sizes would take hours; give --tiny for a test of the script")
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder=Path(folder), device=device, tiny=options.tiny)
        for name, entry in PARTS.items():
            if name in (DATA, *options.only):
                for line in run(name, entry, setting):
                    lines.append(line)
                    tell(line.as_json())
    last = summary(lines)
    tell(last)
    return int(last["all_held"] is False)


def summary(lines: Sequence[Line]) -> dict[str, object]:
    """The last line: which checks did not hold, and which parts did not come to their end."""
    checks = [line for line in lines if line.row is not None and line.row.holds is not None]
    broken = [f"{line.part}: {line.row.name}" for line in checks if line.row is not None and not line.row.holds]
    errors = [line for line in lines if line.error is not None]
    failed = sorted({line.part for line in errors if not _needs_gpu(line)})
    return {
        "all_held": not broken and not failed,
        "checks": len(checks),
        "did_not_hold": broken,
        "parts_that_failed": failed,
        "parts_that_need_a_gpu": sorted({line.part for line in errors if _needs_gpu(line)}),
        "seconds": round(sum(line.seconds for line in lines), 1),
    }


def _needs_gpu(line: Line) -> bool:
    return (line.error or "").startswith(NEEDS_GPU)


if __name__ == "__main__":
    sys.exit(main())
