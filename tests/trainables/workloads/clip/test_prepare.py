"""Images before anything trains: what is gone or has changed is said at once, as `retune data check` says it."""

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from study.data.check import check
from study.data.importers.data_set import DataSet
from study.data.importers.folder import FolderOptions, from_folder
from study.data.importers.intake import Target, write_manifest
from study.data.importers.webdataset import WebDatasetOptions, from_webdataset
from tests import images
from tests.study import command
from tests.study.commands.test_fetch import STUDY, TINY
from trainables.frozen import ConfigError
from trainables.runtime import Runtime
from trainables.workloads.clip.data import manifest, stamps
from trainables.workloads.clip.opening import images_of, pack_of
from trainables.workloads.clip.prepare import require_images
from trainables.workloads.clip.settings import Clip, Model

FIRST = "new/red_circle/0000.png"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of files and of a shard, a model's config and a study."""
    folder = tmp_path_factory.mktemp("made")
    images.write_classes(folder / "new", images.CLASSES[:3], 3)
    images.write_classes(folder / "old", images.CLASSES[8:10], 2)
    images.write_shard(folder / "pool" / "0.tar", images.samples(4, first=100))
    target = Target(out=folder / "m.parquet", mode="append")
    write_manifest(from_folder(folder / "new", FolderOptions()), target)
    write_manifest(from_folder(folder / "old", FolderOptions(data=DataSet(group="holdout"))), target)
    write_manifest(from_webdataset(folder / "pool", WebDatasetOptions(data=DataSet(group="pool"))), target)
    (folder / "tiny.json").write_text(json.dumps(TINY))
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it; times and all."""
    return shutil.copytree(made, tmp_path / "home")


@pytest.fixture
def workload(home: Path) -> Clip:
    found = Clip(model=Model(name=str(home / "tiny.json"), pretrained="random"), data=str(home / "m.parquet"))
    assert (home / FIRST).is_file()
    pack_of(found, home / "cache")
    require_images(found, home / "cache")
    return found


def decoded(workload: Clip, home: Path) -> None:
    """Fill the cache, which must make no difference."""
    found = images_of(workload, Runtime(cache=home / "cache"))
    found[np.arange(len(found))]


def remove(path: Path) -> None:
    path.unlink()


def overwrite(path: Path) -> None:
    path.write_bytes(images.some(55))


@pytest.mark.parametrize("is_decoded", [False, True])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove, "1 image files ({path}) are not there; bring them back, or import again; `retune data check` lists"),
        (overwrite, "1 images ({path}) are not those that were imported; bring those back, or import again"),
    ],
)
def test_check_and_run_agree(
    workload: Clip, home: Path, change: Callable[[Path], None], said: str, *, is_decoded: bool
) -> None:
    if is_decoded:
        decoded(workload, home)
    change(home / FIRST)
    assert not check(home / "m.parquet", decode=False).usable
    with pytest.raises(ConfigError) as raised:
        require_images(workload, home / "cache")
    assert said.format(path=home / FIRST) in str(raised.value)


def test_an_image_that_was_overwritten_before_the_first_run_is_found(home: Path) -> None:
    later = time.time() + 5
    overwrite(home / FIRST)
    os.utime(home / FIRST, (later, later))
    workload = Clip(model=Model(name=str(home / "tiny.json"), pretrained="random"), data=str(home / "m.parquet"))
    with pytest.raises(ConfigError, match=r"1 images .* are not those that were imported"):
        require_images(workload, home / "cache")


def test_files_that_were_only_touched_are_compared_once(
    workload: Clip, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(home / FIRST)
    os.utime(home / "pool" / "0.tar")
    require_images(workload, home / "cache")
    monkeypatch.setattr("trainables.workloads.clip.prepare.inspect", None)  # it would have to be called to look again
    require_images(workload, home / "cache")


def test_a_member_of_a_shard_that_has_changed_is_named(workload: Clip, home: Path) -> None:
    shard = home / "pool" / "0.tar"
    with tarfile.open(shard) as file:
        place = next(member for member in file.getmembers() if member.name.endswith(".png"))
    content = bytearray(shard.read_bytes())
    content[place.offset_data + 30] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(1, 1))
    with pytest.raises(ConfigError, match=f"1 images .*{place.name}.* are not those"):
        require_images(workload, home / "cache")


@pytest.mark.parametrize(("gone", "is_cold"), [(FIRST, False), (FIRST, True), ("pool/0.tar", True)])
def test_commands_end_with_one_message_before_anything_trains(home: Path, gone: str, *, is_cold: bool) -> None:
    cache = {"RETUNE_CACHE": str(home / "cache")}
    if not is_cold:
        command.ok_here("fetch", home / "study.yaml", **cache)
    (home / gone).unlink()
    run = ("--dir", home / "run")
    for arguments in (("run", *run, "--inline"), ("plan", *run), ("fetch",)):
        done = command.here(arguments[0], home / "study.yaml", *arguments[1:], **cache)
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].startswith(f"retune: {home / 'm.parquet'}: 1 image files ({home / gone})")
        assert "counting FLOPs" not in done.stderr
    assert not (home / "run").exists()


def test_tens_of_thousands_of_files_take_no_time(tmp_path: Path) -> None:
    files = []
    for i in range(20_000):
        path = tmp_path / str(i % 100) / f"{i}.png"
        if i < 100:
            path.parent.mkdir()
        path.touch()
        files.append(str(path))
    stamps.keep(tmp_path, files, known_at=2**62)
    began = time.perf_counter()
    assert stamps.doubts(tmp_path) == ((), ())
    assert time.perf_counter() - began < 5  # 0.1 s where nothing else runs


def test_images_in_the_table_need_no_file(home: Path, workload: Clip) -> None:
    frame = manifest.read(home / "m.parquet")
    files = [path for path in frame["image"] if path.endswith(".png")]
    content = {path: (home / path).read_bytes() for path in files}
    held = {
        "image": pd.Series([None if path in content else path for path in frame["image"]], dtype=object),
        "bytes": pd.Series([content.get(path) for path in frame["image"]], dtype=object),
    }
    manifest.write(frame.assign(**held), home / "held.parquet")
    remove(home / FIRST)
    require_images(workload.model_copy(update={"data": str(home / "held.parquet")}), home / "cache")
