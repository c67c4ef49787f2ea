"""`retune gc`: it says what may go and frees it when told to; scores stay, and what is needed later is made again."""

import fcntl
import json
import shutil
from pathlib import Path

import pytest

from study.folder.folder import Folder
from study.running.worker import builder
from tests.s3 import Server
from tests.study import command, quick


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick.finish(tmp_path_factory.mktemp("run"))


@pytest.fixture
def finished(run: Path, tmp_path: Path) -> Path:
    """A finished study that may be changed."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    return folder


def gc(folder: Path, *arguments: str) -> dict[str, object]:
    status, said, err = quick.retune("gc", folder, "--json", *arguments)
    assert status == 0, err
    found: dict[str, object] = json.loads(said)
    return found


def test_without_yes_it_only_says_so(finished: Path) -> None:
    before = command.updates(finished)
    status, said, err = quick.retune("gc", finished)
    assert status == 0, err
    assert f"store {finished}/store: {quick.UPDATES} updates (" in said
    assert "keep: final   24 updates (4.9 kB) stay, 4 updates (0.816 kB) may go" in said
    assert f"(keep: needed) with: retune gc {finished} --yes" in said
    assert command.updates(finished) == before
    numbers = gc(finished)
    assert numbers["updates"] == quick.UPDATES
    assert numbers["keep"] == "needed"
    assert numbers["freed"] is False
    assert gc(finished, "--keep", "all")["by_keep"] == numbers["by_keep"]


def test_what_may_go_goes_and_everything_that_was_done_is_still_done(finished: Path) -> None:
    before, tables = command.updates(finished), command.tables(finished)
    gc(finished, "--keep", "final", "--yes")
    assert len(command.updates(finished)) == quick.UPDATES - 4
    gc(finished, "--yes")
    kept = command.updates(finished)
    assert 0 < len(kept) < quick.UPDATES - 4
    assert kept.items() <= before.items()
    shutil.rmtree(finished / "tables")
    status, _, err = quick.retune("run", finished / "study.yaml", "--dir", finished, "--inline")
    assert status == 0, err
    assert command.updates(finished) == kept
    assert command.tables(finished).keys() == tables.keys()
    assert all(command.tables(finished)[name].equals(table) for name, table in tables.items())
    status, said, _ = quick.retune("gc", finished)
    assert "nothing to free (keep: needed)" in said
    events = [row for row in Folder(path=finished).events() if row["event"] == "freed"]
    assert sum(row["updates"] for row in events) == quick.UPDATES - len(kept)


def test_what_was_freed_and_is_needed_by_a_study_that_grows_is_trained_again_to_the_same_bits(
    finished: Path, tmp_path: Path
) -> None:
    """Merges of all that full fine-tuning passed through need its middle, which went."""
    before = command.updates(finished)
    gc(finished, "--keep", "final", "--yes")
    kept = command.updates(finished)
    more = "  - {method: full, timeline: last-ema, w: 0.5, lr: [0.01, 0.3]}\n"
    grown = quick.STUDY.replace("blocks:", f"{more}blocks:")
    (tmp_path / "grown").mkdir()
    study = quick.write(tmp_path / "grown", grown)
    status, _, err = quick.retune("run", study, "--dir", finished, "--inline")
    assert status == 0, err
    assert "4 of 18 trials to run (14 done), 4 updates to train" in err
    after = command.updates(finished)
    assert after.keys() == before.keys()
    assert kept.items() <= after.items()
    (tmp_path / "fresh").mkdir()
    command.assert_same_tables(quick.finish(tmp_path / "fresh", grown), finished)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep", "some"), "--keep: 'some' given; allowed: needed, final, all"),
        ((), "another run works on this study"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], said: str, finished: Path) -> None:
    with (finished / ".lock").open("a") as lock:
        if not arguments:
            fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, err = quick.retune("gc", finished, "--yes", *arguments)
    assert status == 2
    assert said in err
    assert len(command.updates(finished)) == quick.UPDATES


def test_a_folder_that_is_no_study_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    status, _, err = quick.retune("gc", tmp_path, "--yes")
    assert status == 2
    assert "not a study's folder" in err
    assert list(tmp_path.iterdir()) == []


# -- in a bucket -------------------------------------------------------------------------------------------------------


def test_a_study_in_a_bucket_is_as_one_in_a_folder(s3: Server, tmp_path: Path) -> None:
    location = f"{s3.make_bucket('studies')}/of/mine"
    text = quick.STUDY.replace("blocks: 2", "blocks: 1")
    (tmp_path / "local").mkdir()
    run = quick.finish(tmp_path / "local", text)
    study = quick.write(tmp_path, f"{text}store: {location}\n")
    folder, updates = tmp_path / "run", quick.UPDATES // 2
    status, _, err = quick.retune("run", study, "--dir", folder, "--inline")
    assert status == 0, err
    command.assert_same_tables(run, folder)
    assert not (folder / "store").exists()
    assert len(s3.names("studies", "of/mine/updates/")) == updates
    assert s3.names("studies", "of/mine/leases/") == []
    status, said, err = quick.retune("status", folder, "--json")
    assert status == 0, err
    assert json.loads(said)["done"] == quick.TRIALS // 2
    # A file of each kind is hurt: it is set aside, told, and made again.
    hurt = [s3.names("studies", f"of/mine/{kind}/")[0] for kind in ("scores", "costs", "updates", "records")]
    whole = {name: s3.read("studies", name) for name in hurt}
    for name, damage in zip(hurt, (b"", whole[hurt[1]][:-1], b"\0" + whole[hurt[2]][1:], b"?"), strict=True):
        s3.write("studies", name, damage)
    gone = [name for name in s3.names("studies", "of/mine/scores/") if name not in hurt]
    s3.delete("studies", gone)  # or nobody would look at the updates
    builder.cache_clear()  # which has them in memory
    status, _, err = quick.retune("run", study, "--dir", folder, "--inline")
    assert status == 0, err
    assert err.count("was damaged and is now s3://studies/of/mine/damaged/") == 4
    command.assert_same_tables(run, folder)
    assert all(s3.read("studies", name) == whole[name] for name in hurt[:3])  # a measured time does not come back
    freed = gc(folder, "--keep", "final", "--yes")
    assert freed["updates"] == updates
    assert len(s3.names("studies", "of/mine/updates/")) == updates - 2


@pytest.mark.parametrize(
    ("location", "status", "said"),
    [
        ("s3://missing-bucket/x", 2, "there is no bucket 'missing-bucket'"),
        ("s3:/bucket/x", 2, "'s3:/bucket/x' given; allowed: a folder, s3://BUCKET/PREFIX"),
        ("/proc/retune", 1, "/proc/retune: "),
    ],
)
@pytest.mark.usefixtures("s3")
def test_a_store_that_cannot_be_used_is_said_before_anything_is_made(
    location: str, status: int, said: str, tmp_path: Path
) -> None:
    study = quick.write(tmp_path, f"{quick.STUDY}store: {location}\n")
    code, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert (code, said in err) == (status, True), err
    assert err.startswith("retune: ")
    assert not (tmp_path / "run").exists()


def test_a_bucket_that_may_not_be_written_is_said_before_anything_is_made(
    s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = quick.write(tmp_path, f"{quick.STUDY}store: {s3.make_bucket('read-only')}/x\n")
    with s3.guarded() as reader:
        for name, value in reader.items():
            monkeypatch.setenv(name, value)
        code, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
        assert code == 2
        assert "s3://read-only/x: no permission" in err
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        code, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert code == 2
    assert "s3://read-only/x: the storage does not accept the credentials" in err
    assert not (tmp_path / "run").exists()
