"""A raised version of the numerics: what was made under the one before stays a study, in a later release, too."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.folder.folder import Folder
from tests.study import command, quick
from tests.study.releases import VERSION, Release, another_release
from trainables.nodes import NUMERICS_VERSION, UNMARKED_VERSION, version_of
from trainables.store.local import LocalStore

pytestmark = pytest.mark.slow

SEARCH = """
name: search
workload: {name: noop}
fixed: {tasks: 3, steps: 4, batch_size: 8}
search:
  spaces: [{method: full, timeline: ema, w: {low: 0.1, high: 0.9}, lr: {low: 0.01, high: 0.3}}]
  stop: {trials: 4}
joint: {lr: 0.3}
"""


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with another_release(tmp_path_factory.mktemp("later"), VERSION) as release:
        yield release


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with another_release(tmp_path_factory.mktemp("earlier"), UNMARKED_VERSION) as release:
        yield release


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick.finish(tmp_path_factory.mktemp("made"))


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    """A finished study that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def older(earlier: Release, tmp_path: Path) -> Path:
    """A finished study from before there were ledgers, and before notes said a version."""
    finished = tmp_path / "older"
    earlier.ok("run", quick.write(tmp_path), "--dir", finished, "--inline")
    (finished / "ledger.jsonl").unlink()
    home = Folder(path=finished)
    store, note = home.store(), f"studies/{home.name_in_stores}"
    said = json.loads(store.read_note(note) or b"")
    del said["numerics"]
    store.write_note(note, json.dumps(said).encode())
    return finished


def status(release: Release, folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(release.ok("status", folder, "--json").out)
    return found


def test_a_finished_study_is_read_as_it_is(later: Release, finished: Path) -> None:
    before, files = command.tables(finished), command.updates(finished)
    now = json.loads(command.ok_here("status", finished, "--json"))
    assert status(later, finished) == now
    assert (now["state"], now["done"], now["numerics"]) == ("finished", quick.TRIALS, NUMERICS_VERSION)
    said = later.ok("status", finished).out
    assert f"made under version {NUMERICS_VERSION} of the numerics; this release has {VERSION}" in said
    shutil.rmtree(finished / "tables")
    found = later.ok("findings", finished, "--json")
    assert "warning" not in found.err
    command.assert_same_tables_as(before, finished)
    assert found.out == command.ok_here("findings", finished, "--json")
    assert later.ok("recommend", finished, "--json").out == command.ok_here("recommend", finished, "--json")
    for release, name in ((later.ok, "later.log"), (command.ok_here, "now.log")):
        release("export", finished, "--optuna", finished / name)
    assert (finished / "later.log").read_bytes() == (finished / "now.log").read_bytes()
    assert command.updates(finished) == files


def test_a_run_says_what_it_would_train_and_trains_nothing(later: Release, finished: Path) -> None:
    files = command.updates(finished)
    done = later.retune("run", finished / "study.yaml", "--dir", finished, "--inline")
    assert done.status == 2
    assert "Traceback" not in done.err
    assert f"made under version {NUMERICS_VERSION} of the numerics by retune " in done.err
    assert f"this release has version {VERSION}" in done.err
    assert f"--anew, which trains {quick.TRIALS} of {quick.TRIALS} trials, {quick.UPDATES} updates" in done.err
    assert f"to go on under version {NUMERICS_VERSION}: run it with retune " in done.err
    assert command.updates(finished) == files
    planned = later.ok("plan", finished / "study.yaml", "--dir", finished, "--stream")
    assert f"made under version {NUMERICS_VERSION} of the numerics, and read as that by retune status" in planned.err


def test_a_study_from_before_ledgers_is_read_as_it_is(later: Release, older: Path) -> None:
    before = command.tables(older)
    assert status(later, older) == json.loads(command.ok_here("status", older, "--json"))
    shutil.rmtree(older / "tables")
    later.ok("findings", older)
    command.assert_same_tables_as(before, older)
    assert "nothing to free" in later.ok("gc", older, "--yes", "--keep", "needed").out
    assert len(command.updates(older)) == quick.UPDATES
    done = later.retune("run", older / "study.yaml", "--dir", older, "--inline")
    assert done.status == 2
    assert "by retune " in done.err


@pytest.mark.parametrize("of", ["finished", "older"])
def test_what_is_trained_anew_stands_beside_what_was_there(
    of: str, request: pytest.FixtureRequest, later: Release
) -> None:
    finished: Path = request.getfixturevalue(of)
    before, files, now = command.tables(finished), command.updates(finished), status(later, finished)
    version = Folder(path=finished).numerics
    (finished / "report").mkdir()
    (finished / "report" / "index.html").write_text("a page")
    done = later.ok("run", finished / "study.yaml", "--dir", finished, "--inline", "--anew")
    aside = finished / f"version-{version}"
    assert f"version {version} of this study is kept in {aside}" in done.err
    assert not (finished / "report").exists()
    assert (aside / "report" / "index.html").read_text() == "a page"
    assert status(later, aside) == now
    assert json.loads(command.ok_here("status", aside, "--json"))["done"] == quick.TRIALS
    command.assert_same_tables_as(before, aside)
    command.assert_same_tables_as(before, finished)  # the later release only says that its numbers are others
    assert status(later, finished)["numerics"] == VERSION
    after = command.updates(finished)
    assert files.items() <= after.items()
    assert {version_of(key) for key in after.keys() - files.keys()} == {VERSION}
    # The same command goes on, and this release refuses in its turn.
    assert "done: 14 trials" in later.ok("run", finished / "study.yaml", "--dir", finished, "--inline", "--anew").err
    assert command.updates(finished) == after
    code, _, err = quick.retune("run", finished / "study.yaml", "--dir", finished, "--inline")
    assert code == 2
    assert f"made under version {VERSION} of the numerics" in err


def test_an_empty_folder_for_the_store_is_of_no_version(tmp_path: Path) -> None:
    """Users make one, or link it to where there is room, before the first run."""
    (tmp_path / "run" / "store").mkdir(parents=True)
    assert Folder(path=tmp_path / "run").numerics == NUMERICS_VERSION
    quick.finish(tmp_path)
    assert Folder(path=tmp_path / "run").numerics == NUMERICS_VERSION


def test_a_report_over_two_versions_says_so(later: Release, finished: Path, tmp_path: Path) -> None:
    later.ok("run", finished / "study.yaml", "--dir", finished, "--inline", "--anew")
    aside = finished / f"version-{NUMERICS_VERSION}"
    done = later.ok("report", aside, "--compare", finished, "--out", tmp_path / "report")
    said = f"different versions of the numerics: {aside} under {NUMERICS_VERSION} and {finished} under {VERSION}"
    assert said in done.err
    assert (tmp_path / "report" / "index.html").is_file()


def test_what_a_version_made_goes_by_its_name_alone(later: Release, finished: Path) -> None:
    files, before = command.updates(finished), command.tables(finished)
    assert "nothing to free" in later.ok("gc", finished, "--yes", "--keep", "needed").out
    assert command.updates(finished) == files
    by_version = ("gc", finished, "--version", str(NUMERICS_VERSION))
    said = later.ok(*by_version).out
    assert f"free {quick.UPDATES} updates (5.71 kB) of quick (" in said
    assert command.updates(finished) == files
    listed = json.loads(later.ok("gc", finished, "--json").out)["other_versions"][str(NUMERICS_VERSION)]
    assert listed["updates"] == quick.UPDATES
    later.ok(*by_version, "--yes")
    assert command.updates(finished) == {}
    later.ok("findings", finished)
    command.assert_same_tables_as(before, finished)
    assert status(later, finished)["state"] == "finished"
    trial = before["trials"]["trial"].iloc[-1]
    done = later.retune("export", finished, "--trial", trial, "--out", finished / "model")
    assert done.status == 2
    assert "updates of it are not in the store; export it with retune " in done.err


def test_an_unfinished_study_stays_as_it_is(later: Release, finished: Path) -> None:
    store = Folder(path=finished).store()
    store.delete("scores", Folder(path=finished).plan().trials[-1].steps[-1].scores)
    now = status(later, finished)
    assert (now["state"], now["done"], now["waiting"]) == ("not running", quick.TRIALS - 1, 1)
    assert "how to go on is said by: retune run" in later.ok("status", finished).out
    assert later.retune("run", finished / "study.yaml", "--dir", finished, "--inline").status == 2
    _, _, err = quick.retune("run", finished / "study.yaml", "--dir", finished, "--inline")
    assert "1 of 14 trials to run (13 done)" in err
    assert status(later, finished)["state"] == "finished"


def test_studies_of_two_versions_share_a_store(later: Release, tmp_path: Path) -> None:
    """Each frees what it need not keep itself, by hand and by the store's bound."""
    text = quick.STUDY + f"store: {tmp_path / 'store'}\nkeep: needed\n"
    one = quick.finish(tmp_path, text)
    first = updates(tmp_path / "store")
    bounded = command.write_study(tmp_path, text + "resources: {store_gb: 1e-9}\n")
    done = later.ok("run", bounded, "--dir", tmp_path / "two", "--inline")
    assert f"{quick.UPDATES} updates to train" in done.err
    later.ok("gc", tmp_path / "two", "--yes")
    kept = updates(tmp_path / "store")
    assert first < kept
    assert len(kept - first) < quick.UPDATES
    assert f"version {VERSION}: " in command.ok_here("gc", one, "--yes")
    left = updates(tmp_path / "store")
    assert left - first == kept - first
    assert left & first < first
    assert status(later, tmp_path / "two")["done"] == quick.TRIALS
    assert json.loads(command.ok_here("status", one, "--json"))["done"] == quick.TRIALS


def updates(store: Path) -> set[str]:
    return LocalStore(store).keys("updates")


def test_a_search_is_read_and_begins_over(later: Release, tmp_path: Path) -> None:
    run = quick.finish(tmp_path, SEARCH)
    now = status(later, run)
    assert (now["state"], now["done"]) == ("finished", 5)
    done = later.retune("run", run / "study.yaml", "--dir", run, "--inline")
    assert "trains the search from its first trial on" in done.err
    later.ok("run", run / "study.yaml", "--dir", run, "--inline", "--anew")
    assert status(later, run)["numerics"] == VERSION
    assert status(later, run / f"version-{NUMERICS_VERSION}") == now
    warm = SEARCH.replace("name: search", "name: warm").replace(
        "  stop:", f"  warm_start: [{run / f'version-{NUMERICS_VERSION}'}]\n  stop:"
    )
    done = later.ok("run", command.write_study(tmp_path, warm), "--dir", tmp_path / "warm", "--inline")
    assert f"version-{NUMERICS_VERSION} was made under version {NUMERICS_VERSION} of the numerics" in done.err


def test_an_export_reads_weights_by_the_names_that_were_given(later: Release, finished: Path) -> None:
    files = command.updates(finished)
    trial = command.tables(finished)["trials"]["trial"].iloc[-1]
    done = later.retune("export", finished, "--trial", trial, "--out", finished / "model")
    assert done.status == 2
    assert "the workload noop has no model" in done.err  # which is said when the weights are put together
    assert command.updates(finished) == files
