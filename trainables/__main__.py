"""Run one trial without a scheduler: `python -m trainables CONFIG.json`."""

import argparse
import json
import sys
from pathlib import Path

from trainables.config import TrialConfig
from trainables.frozen import ConfigError, parse
from trainables.metrics import Score, summarise
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.store.opening import open_store
from trainables.store.store import Store, StoreError


def main(arguments: list[str] | None = None) -> int:
    """Run the trial that the command line names; the exit status is 0, 1 (failed) or 2 (wrong input)."""
    parser = argparse.ArgumentParser(
        prog="python -m trainables",
        description="Run one full continual update cycle and print a JSON line of scores after every task.",
    )
    parser.add_argument("config", type=Path, help="JSON file of a trial's config; - reads standard input")
    parser.add_argument(
        "--store", help="folder, or s3://BUCKET/PREFIX, to keep results in and take them from (default: none)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    options = parser.parse_args(arguments)
    try:
        config = _read(options.config)
        _run(config, options.store, Runtime(device=options.device, threads=options.threads))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except (StoreError, RuntimeError, OSError) as error:
        print(f"the trial failed: {error}", file=sys.stderr)
        return 1
    return 0


def _read(path: Path) -> TrialConfig:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        value = json.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give a JSON file of a trial's config") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    return parse(TrialConfig, value, source=str(path))


def _run(config: TrialConfig, location: str | None, runtime: Runtime) -> None:
    # Imported here: a wrong config is told at once, without loading torch.
    from trainables import cycle
    from trainables.build import Builder
    from trainables.lineages import Step
    from trainables.workloads.catalogue import open_workload

    def report(step: Step, scores: tuple[Score, ...]) -> None:
        print(json.dumps({"task": step.task, **summarise(scores)._asdict()}), flush=True)

    runtime.apply()
    runtime = runtime.on_share(1.0)
    store: Store = open_store(location, _warn) if location else MemoryStore(_warn)
    store.check(writable=True)
    cycle.run(config, Builder(open_workload(config.workload, runtime), store, runtime), report)


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
