"""Every fault, then the same command again: tables equal to those of an undisturbed run, and nothing trained twice.

Real processes, a real S3 server behind a proxy that fails, a real small disk; what fails and when is drawn from a seed.
The noop workload stands in for the pocket model, on which `make test-all` does the same.
"""

import collections
import contextlib
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import psutil
import pytest

from tests import s3
from tests.study import command
from tests.study.zygote import Command
from trainables.store.local import LocalStore
from trainables.store.opening import open_store
from trainables.store.store import Kind

pytestmark = pytest.mark.slow

SEED = 20_260
KILLED = -9

STUDY = """
name: chaos
workload: {workload}
fixed: {{tasks: 3, steps: {steps}, batch_size: 32, lr: 1e-3}}
grid:
  - {{method: full, timeline: [finetune, ema], w: [0.5]}}
  - {{method: full, timeline: zs, w: [0.5, 0.8]}}
  - {other}
blocks: 1
joint: {{lr: 1e-3}}
retries: 2
"""


class Case(NamedTuple):
    """A study, and amounts of bytes that are small for it: a part of what it sends, and two parts of its store."""

    study: str
    sent: tuple[int, int]
    disks: tuple[str, str]


CASES = {
    "noop": Case(
        STUDY.format(workload="{name: noop}", steps=80, other="{method: ewc, strength: 10.0}"),
        sent=(20, 400),
        disks=("80k", "160k"),
    ),
    "pocket": Case(
        STUDY.format(workload="{name: pocket, pool: 512}", steps=2, other="{method: lora, rank: 2}"),
        sent=(200, 60_000),
        disks=("1500k", "3m"),
    ),
}

survived: collections.Counter[str] = collections.Counter()


@pytest.fixture(scope="module", autouse=True)
def _count(pytestconfig: pytest.Config) -> Iterator[None]:
    yield
    if pytestconfig.getoption("capture") == "no":
        print("\nfaults survived:", json.dumps(survived), sum(survived.values()))


@pytest.fixture
def dice() -> random.Random:
    return random.Random(SEED)


@pytest.fixture(scope="module", params=["noop", pytest.param("pocket", marks=pytest.mark.thorough)])
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def undisturbed(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command.ok_here("run", command.write_study(folder, case.study), "--dir", folder / "run", "--inline")
    return folder / "run"


@pytest.fixture(scope="module")
def server() -> Iterator[s3.Server]:
    with s3.serve() as running:
        yield running


def test_a_storage_that_fails_in_every_way_while_drivers_are_killed(
    undisturbed: Path, case: Case, server: s3.Server, tmp_path: Path, dice: random.Random
) -> None:
    study = command.write_study(tmp_path, f"store: {server.make_bucket('fails')}/study\n{case.study}")
    folder = tmp_path / "run"
    faults: list[s3.Fault] = ["refuse", "500", "503", "slow", "cut upload", "cut answer"]
    dice.shuffle(faults)
    with s3.proxy(server) as proxy:
        driver = command.start("run", study, "--dir", folder, "--inline", **proxy.variables)
        for number, fault in enumerate(faults):
            wait_for(1 + 3 * number // 2, driver, lambda: len(server.names("fails", "study/updates")))
            proxy.fail(fault, count=dice.randint(4, 12), after=dice.randint(*case.sent), seconds=0.02)
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(timeout=0.5 + dice.random() / 2)
            if number % 3 == 2:
                command.kill(driver)
                survived["kill -9 of a driver while its storage fails"] += 1
            proxy.heal()
            survived[f"storage: {fault}"] += 1
            if driver.poll() is not None:
                assert driver.returncode == KILLED
                driver = command.start("run", study, "--dir", folder, "--inline", **proxy.variables)
        finished(driver)
        leases = [line for line in proxy.requests if line.startswith("PUT") and "/study/leases/" in line]
    command.assert_same_tables(undisturbed, folder)
    assert_trained_once(folder)
    assert len({line.split("?")[0] for line in leases}) >= len(command.updates(undisturbed))
    assert not server.names("fails", "study/leases")


def test_damaged_files_of_every_kind(undisturbed: Path, case: Case, tmp_path: Path, dice: random.Random) -> None:
    study, folder = command.write_study(tmp_path, case.study), tmp_path / "run"
    command.ok("run", study, "--dir", folder, "--inline")
    before = trained(folder)
    damaged = 0
    for kind in get_args(Kind):
        files = sorted((folder / "store" / kind).glob("??/*"))
        for file, harm in zip(
            dice.sample(files, min(6, len(files))), 2 * ["truncated", "empty", "flipped"], strict=False
        ):
            content = bytearray(file.read_bytes())
            if harm == "truncated":
                content = content[: dice.randrange(1, len(content))]
            elif harm == "empty":
                content.clear()
            else:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            file.write_bytes(content)
            damaged += 1
            survived[f"{kind}: a file {harm}"] += 1
    (folder / "store" / "leases").mkdir(exist_ok=True)
    for harm in ("", "{", "x" * 300):  # of holders that are no more, unreadable or not: these are no updates of ours
        (folder / "store" / "leases" / f"{'0' * 64}.{len(harm) + 1}").write_text(harm)
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"time": 1, "ev')
    (folder / "tables" / "tasks.parquet").write_bytes(b"")
    survived["log cut short"] += 1
    survived["tables: a file empty"] += 1
    finished(command.start("run", study, "--dir", folder, "--inline"))
    command.assert_same_tables(undisturbed, folder)
    again = trained(folder)
    assert sum(again.values()) - sum(before.values()) <= 6  # the damaged updates, where they were needed
    assert len(list((folder / "store" / "damaged").iterdir())) <= damaged


def test_a_full_disk(undisturbed: Path, case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    disk = folder / "store"
    disk.mkdir(parents=True)
    first, second = case.disks
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={first}", "tmpfs", disk], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {mounted.stderr.strip()}")
    try:
        study = command.write_study(tmp_path, case.study)
        for size in (second, "64m"):
            done = command.retune("run", study, "--dir", folder, "--inline")
            assert done.returncode == 1
            assert "no space left" in done.stderr
            assert "Traceback" not in done.stderr
            survived["full disk"] += 1
            subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
        finished(command.start("run", study, "--dir", folder, "--inline"))
        command.assert_same_tables(undisturbed, folder)
        assert_trained_once(folder)
        assert not list(disk.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


JUMPS = """
import random, time
dice, clock = random.Random(), time.time
time.time = lambda: clock() + dice.choice([-1e6, -3600, 0, 3600, 1e6])
time.time_ns = lambda: int(1e9 * time.time())
"""


def test_two_drivers_at_once_and_two_studies_on_one_store_with_clocks_that_jump(
    undisturbed: Path, case: Case, tmp_path: Path
) -> None:
    jumping = tmp_path / "jumping"
    jumping.mkdir()
    (jumping / "sitecustomize.py").write_text(JUMPS)
    study = command.write_study(tmp_path, f"store: {tmp_path / 'shared'}\n{case.study}")
    one, two = tmp_path / "one", tmp_path / "two"
    variables = {"PYTHONPATH": str(jumping)}
    drivers = [
        command.start_afresh("run", study, "--dir", folder, "--inline", **variables) for folder in (one, one, two)
    ]
    ends = [driver.communicate(timeout=300) for driver in drivers]
    statuses = sorted(driver.wait() for driver in drivers[:2])
    assert statuses == [0, 2], ends
    refused = next(err for driver, (_, err) in zip(drivers, ends, strict=True) if driver.returncode == 2)
    assert "another run works on this study" in refused
    assert drivers[2].returncode == 0, ends[2]
    survived["two drivers of one folder"] += 1
    survived["two studies on one store"] += 1
    survived["clock jumps, in each of three processes"] += 3
    for folder in (one, two):
        command.assert_same_tables(undisturbed, folder)
    both = trained(one) + trained(two)
    assert set(both.values()) == {1}
    assert both.keys() == open_store(str(tmp_path / "shared")).keys("updates") == set(command.updates(undisturbed))


def test_killed_at_any_moment_without_a_scheduler(
    undisturbed: Path, case: Case, tmp_path: Path, dice: random.Random
) -> None:
    study, folder = command.write_study(tmp_path, case.study), tmp_path / "run"
    total = len(command.updates(undisturbed))
    for moment in sorted(dice.sample(range(1, total - 2), 3)):
        driver = command.start("run", study, "--dir", folder, "--inline")
        wait_for(moment, driver, lambda: len(command.updates(folder)))
        command.kill(driver)
        survived["kill -9 of a driver"] += 1
    finished(command.start("run", study, "--dir", folder, "--inline"))
    command.assert_same_tables(undisturbed, folder)
    assert_trained_once(folder)
    assert LocalStore(folder / "store").notes("leases") == []


# -- helpers -----------------------------------------------------------------------------------------------------------


def wait_for(moment: int, driver: Command, count: Callable[[], int]) -> None:
    """Until there are so many updates, or the driver has ended."""
    command.wait_until(lambda: driver.poll() is not None or count() >= moment, what=f"update {moment}")


def finished(driver: Command) -> None:
    """A driver's end is a good one, and leaves no process behind."""
    children = psutil.Process(driver.pid).children(recursive=True)
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def trained(folder: Path) -> collections.Counter[str]:
    """How often each update was trained, as far as the log says: of one that a kill met on its way it says nothing."""
    counts: collections.Counter[str] = collections.Counter()
    for line in (folder / "log.jsonl").read_text().splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if row["event"] == "trained":
                counts[row["update"]] += 1
    return counts


def assert_trained_once(folder: Path) -> None:
    counts = trained(folder)
    assert len(counts) > 7  # a kill may come between an update and its line
    assert set(counts.values()) == {1}
