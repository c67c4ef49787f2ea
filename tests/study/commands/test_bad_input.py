"""Wrong input gets one clear message (what, where, what is allowed) and status 2; a failure gets status 1."""

import fcntl
import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from study.commands import app
from tests.study import command, zygote

STUDY = command.STUDY


def invoke(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path
) -> tuple[int, str]:
    """Exit status and what was written to standard error."""
    monkeypatch.setattr("sys.argv", ["retune", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        app.main()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (STUDY.replace("blocks: 1", "block: 1"), ["tiny.yaml", "block", "unknown key", "blocks"]),
        (STUDY.replace("method: lora", "method: lorra"), ["grid[2].method", "'lorra'", "full, zeroshot, lnfit"]),
        (STUDY.replace("timeline: zs", "timeline: zzz"), ["grid[1].timeline", "'zzz'", "finetune, ema, ft, zs"]),
        (STUDY.replace("[0.5, 0.8]", "[0.5, 1.8]"), ["grid[1].w", "1.8", "less than or equal to 1"]),
        (STUDY.replace("rank: [2]", "rank: [0]"), ["grid[2].rank", "0", "greater than or equal to 1"]),
        (STUDY.replace("rank: [2]", "rank: [2.5]"), ["grid[2].rank", "2.5", "integer"]),
        (STUDY.replace("rank: [2]", "rnk: [2]"), ["grid[2].rnk", "unknown axis", "rank"]),
        (STUDY.replace("rank: [2]", "rank: []"), ["grid[2].rank", "empty"]),
        (STUDY.replace("rank: [2]", "rank: [65]"), ["lora", "rank", "65", "1 to 64"]),
        (STUDY.replace("rank: [2]", "targets: [q, x]"), ["grid[2].targets", "'x'", "mlp_in"]),
        (STUDY.replace("rank: [2]", "layers: 2"), ["lora", "layers", "there is no block 2"]),
        (STUDY.replace("rank: [2]", "layers: null"), ["grid[2].layers", "names no blocks", "allowed: all, or numbers"]),
        (STUDY.replace("rank: [2]", "layers: '2'"), ["lora", "layers", "there is no block 2", "0 to 1", "text has 2"]),
        (STUDY.replace("rank: [2]", "towers: audio"), ["lora", "towers", "'audio'", "image, text"]),
        (
            STUDY.replace("lora, rank: [2]", "ewc, strength: -1"),
            ["grid[2].strength", "-1", "greater than or equal to 0"],
        ),
        (STUDY.replace("lora, rank: [2]", "freeze_first_layers, n: 3"), ["freeze_first_layers", "n: 3", "1 to 2"]),
        (STUDY.replace("lora, rank: [2]", "peft, peft_type: NOPE"), ["peft", "'NOPE'", "HRA"]),
        (STUDY.replace("lora, rank: [2]", "peft, arguments: {rr: 2}"), ["peft", "'rr'", "allowed: "]),
        (STUDY.replace("lr: 1e-3}\ngrid", "lr: -1e-3}\ngrid"), ["lr", "-0.001", "greater than 0"]),
        (STUDY.replace("lr: 1e-3}\ngrid", "lr: fast}\ngrid"), ["lr", "'fast'", "number"]),
        (STUDY.replace("joint: {lr: 1e-3}", "joint: {lrr: 1e-3}"), ["joint", "lrr", "lr"]),
        (STUDY.replace("tasks: 3", "tasks: 3000"), ["tasks", "3000", "concepts"]),
        (STUDY.replace("name: pocket", "name: packet"), ["workload.name", "'packet'", "pocket"]),
        (STUDY[: STUDY.index("grid:")] + "grid: []\n", ["grid", "empty"]),
        (STUDY[: STUDY.index("grid:")], ["grid", "missing"]),
        (STUDY.replace("retries: 2", "retries: 2\nretries: 3"), ["retries", "twice"]),
        ("just words", ["tiny.yaml", "mapping"]),
        ("a: [1", ["tiny.yaml", "not YAML"]),
    ],
)
def test_a_wrong_study_is_refused_before_anything_runs(
    text: str, parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = command.write_study(tmp_path, text)
    folder = tmp_path / "run"
    for verb in ("run", "plan"):
        code, errors = invoke(capsys, monkeypatch, verb, study, "--dir", folder)
        assert code == 2
        assert errors.startswith("retune: ")
        assert not [part for part in parts if part not in errors], errors
    assert not folder.exists()


def test_an_unknown_study_lists_the_presets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, errors = invoke(capsys, monkeypatch, "run", "dmeo")
    assert code == 2
    assert "dmeo" in errors
    assert (
        "compute, datasets, demo, learning_rate, merging, methods, mixtures, orderings, schedules, search, sizes, "
        "smoke, time_axes" in errors
    )


def test_folders_that_are_no_studies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = command.write_study(tmp_path)
    for verb in (("status", tmp_path), ("report", tmp_path), ("export", tmp_path, "--trial", "a", "--out", "b")):
        code, errors = invoke(capsys, monkeypatch, *verb)
        assert (code, "not a study's folder" in errors) == (2, True)
    code, errors = invoke(capsys, monkeypatch, "run", study, "--dir", tmp_path)
    assert code == 2
    assert "not empty" in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.yaml"]
    code, errors = invoke(capsys, monkeypatch, "run", study, "--dir", study)
    assert (code, "a file" in errors) == (2, True)


_ONE_TRIAL = """
name: one
workload: {name: pocket, pool: 512}
fixed: {tasks: 2, steps: 1, batch_size: 16}
grid: [{lr: 1e-3}]
joint: null
"""


@pytest.fixture(scope="module")
def one_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study of one trial."""
    folder = tmp_path_factory.mktemp("one") / "run"
    command.ok_here("run", command.write_study(folder.parent, _ONE_TRIAL), "--dir", folder, "--inline")
    return folder


@pytest.fixture
def finished(one_trial: Path, tmp_path: Path) -> Path:
    """A copy of it, with its definition beside."""
    command.write_study(tmp_path, _ONE_TRIAL)
    shutil.copytree(one_trial, tmp_path / "run")
    return tmp_path / "run"


def test_another_definition_does_not_take_over_a_folder(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (finished / "study.yaml").read_text()
    for text in (_ONE_TRIAL.replace("name: one", "name: two"), _ONE_TRIAL.replace("steps: 1", "steps: 2")):
        other = command.write_study(tmp_path, text)
        code, errors = invoke(capsys, monkeypatch, "run", other, "--dir", finished, "--inline")
        assert code == 2
        assert "another definition" in errors
        assert "->" in errors
    assert (finished / "study.yaml").read_text() == before


def test_a_grown_study_says_what_changed_and_keeps_what_is_there(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = command.updates(finished)
    grown = command.write_study(tmp_path, _ONE_TRIAL.replace("[{lr: 1e-3}]", "[{lr: [1e-3, 2e-3]}]"))
    code, errors = invoke(capsys, monkeypatch, "run", grown, "--dir", finished, "--inline")
    assert code == 0, errors
    assert "changed since the last run: grid" in errors
    after = command.updates(finished)
    assert before.items() < after.items()
    assert len(after) == 4


def test_a_kill_before_the_definition_was_written_leaves_a_usable_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = command.write_study(tmp_path, _ONE_TRIAL)
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", ".study.yaml.0123abcd.tmp"):
        (folder / name).write_text("12")
    assert invoke(capsys, monkeypatch, "run", study, "--dir", folder, "--inline")[0] == 0


@pytest.mark.parametrize("text", [None, "name: [", "name: one\n"], ids=["gone", "no YAML", "no study"])
def test_a_folder_whose_definition_is_lost_goes_on_from_its_store(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
) -> None:
    before, definition = command.updates(finished), (finished / "study.yaml").read_text()
    (finished / "study.yaml").unlink()
    if text is not None:
        (finished / "study.yaml").write_text(text)
    code, errors = invoke(capsys, monkeypatch, "status", finished)
    assert (code, f"retune run STUDY --dir {finished}" in errors) == (2, True), errors
    again = ("run", tmp_path / "tiny.yaml", "--dir", finished, "--inline")
    if text is not None:
        code, errors = invoke(capsys, monkeypatch, *again)
        assert (code, "remove study.yaml if it is there" in errors) == (2, True), errors
        (finished / "study.yaml").unlink()
    assert invoke(capsys, monkeypatch, *again)[0] == 0
    assert (finished / "study.yaml").read_text() == definition
    assert command.updates(finished) == before


def test_a_report_does_not_throw_away_tables_that_it_cannot_derive(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (finished / "tables" / "trials.parquet").read_bytes()
    shutil.rmtree(finished / "store")
    code, errors = invoke(capsys, monkeypatch, "report", finished)
    assert code == 0, errors
    assert "as they are" in errors
    assert (finished / "tables" / "trials.parquet").read_bytes() == before


def test_unknown_trials_and_tasks_are_named(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = command.tables(finished)["trials"]["trial"][0]
    code, errors = invoke(capsys, monkeypatch, "export", finished, "--trial", "nope", "--out", tmp_path / "out")
    assert code == 2
    assert "'nope'" in errors
    assert trial in errors
    code, errors = invoke(
        capsys, monkeypatch, "export", finished, "--trial", trial, "--task", "7", "--out", tmp_path / "out"
    )
    assert code == 2
    assert "0 to 2" in errors
    code, errors = invoke(capsys, monkeypatch, "export", finished, "--trial", trial, "--out", finished)
    assert code == 2
    assert "not empty" in errors


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("updates", lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:]),
        ("scores", lambda data: data[:150]),
        ("records", lambda _: b""),
        ("costs", lambda data: data[:-1] + b"!"),
    ],
    ids=["updates-flipped", "scores-cut", "records-emptied", "costs-changed"],
)
def test_a_damaged_file_of_any_kind_is_set_aside_told_and_made_again(
    kind: str,
    damage: Callable[[bytes], bytes],
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = tmp_path / "reference"
    shutil.copytree(finished, reference)
    path = sorted((finished / "store" / kind).glob("??/*"))[0]
    data = path.read_bytes()
    path.write_bytes(damage(data))
    if kind == "updates":  # nobody reads an update whose scores are known, until its weights are asked for
        shutil.rmtree(finished / "store" / "scores")
    study = tmp_path / "tiny.yaml"
    code, errors = invoke(capsys, monkeypatch, "run", study, "--dir", finished, "--inline")
    assert code == 0, errors
    assert "damaged" in errors
    assert path.name in errors
    command.assert_same_tables(reference, finished)
    if kind != "records":  # a measured time does not come back
        assert path.read_bytes() == data


def test_a_folder_without_write_permission(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = command.write_study(tmp_path, _ONE_TRIAL)
    code, errors = invoke(capsys, monkeypatch, "run", study, "--dir", "/proc/retune", "--inline")
    assert code == 1
    assert "/proc/retune" in errors
    assert "cannot be written" in errors


def run_limited(study: Path, folder: Path, said: Path) -> None:
    """Run a study in a process that may write no file above 200 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 << 10, 200 << 10))
    done = command.here("run", study, "--dir", folder, "--inline")
    said.write_text(json.dumps([done.returncode, done.stderr]))


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A file-size limit stands for the full disk: the kernel refuses the write of the weights in the same place."""
    study = command.write_study(tmp_path, _ONE_TRIAL)
    folder, said = tmp_path / "run", tmp_path / "said.json"
    zygote.forked(run_limited, study, folder, said).join(300)
    status, errors = json.loads(said.read_text())
    assert status == 1, errors
    assert "Traceback" not in errors
    assert "trial" in errors
    assert not list(folder.glob("store/**/.*"))
    command.ok_here("run", study, "--dir", folder, "--inline")


def test_two_runs_of_one_study_exclude_each_other(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (finished / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, errors = invoke(capsys, monkeypatch, "run", tmp_path / "tiny.yaml", "--dir", finished, "--inline")
    assert code == 2
    assert "another run" in errors
