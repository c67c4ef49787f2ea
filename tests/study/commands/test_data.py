"""`retune data import | check | show` as a user runs them: what is printed, written, refused, and the status."""

import base64
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from study.commands import app
from study.commands import data as data_commands
from study.commands import imports as import_commands
from study.data import check as data_check
from study.data import page as data_page
from study.data.importers import KINDS
from tests import images
from tests.study import command
from tests.trainables.workloads.clip.data.test_manifest import ROW, framed
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.inspection import inspect, sources

ROOT = Path(__file__).parents[3]
Retune = Callable[..., tuple[int, str, str]]


@pytest.fixture
def retune(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Retune:
    """Run a command in this process, in a folder of its own; returns status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["retune", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def all_kinds(retune: Retune, tmp_path: Path) -> Path:
    """A manifest that every kind of importer has added to."""
    images.write_classes(tmp_path / "shapes", images.CLASSES[:3], 5)
    images.write_files(tmp_path / "photos", {f"{i}.png": images.some(100 + i) for i in range(4)})
    lines = [f"photos/{i}.png,a photo of {i},{'cat' if i % 2 else 'dog'}" for i in range(4)]
    (tmp_path / "photos.csv").write_text("\n".join(("path,text,species", *lines)))
    images.write_shard(tmp_path / "pool" / "000.tar", images.samples(6, first=200))
    images.write_hugging_face(tmp_path / "saved", 4)
    images.write_fif(tmp_path / "fif")
    out = ("--out", "m.parquet", "--append")
    columns = ("--image-column", "path", "--caption-column", "text", "--concept-column", "species")
    for arguments in (
        ("folder", "shapes", "--test-share", "0.4"),
        ("csv", "photos.csv", *columns, "--group", "holdout"),
        ("webdataset", "pool/{000..000}.tar", "--group", "pool"),
        ("hf", "saved"),
        ("fif", "fif"),
    ):
        status, _, err = retune("data", "import", *arguments, *out)
        assert status == 0, err
    return tmp_path / "m.parquet"


def test_a_manifest_is_built_by_all_kinds_of_imports(all_kinds: Path, retune: Retune) -> None:
    rows = manifest.read(all_kinds)
    manifest.require_usable(rows, "m")
    assert rows.groupby("dataset")["group"].agg("first").to_dict() == {
        "shapes": "adapt",
        "photos": "holdout",
        "pool": "pool",
        "saved": "adapt",
        "DTD": "adapt",
        "FSCOCO": "adapt",
        "GTSRB": "holdout",
        "MSCOCO": "holdout",
    }
    status, out, _ = retune("data", "check", all_kinds)
    assert status == 0
    assert out.endswith("a study can use it\n")
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert lines["data"] == ["data", "set", "group", "kind", "classes", "train", "test", "images", "captions"]
    assert lines["shapes"] == ["shapes", "adapt", "classification", "3", "9", "6", "15", "15"]
    assert lines["saved"] == ["saved", "adapt", "classification", "3", "4", "4", "8", "16"]
    assert lines["MSCOCO"] == ["MSCOCO", "holdout", "retrieval", "0", "0", "3", "3", "15"]
    assert lines["pool"] == ["pool", "pool", "-", "0", "6", "0", "6", "6"]


def test_a_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    images.write_classes(tmp_path / "shapes", images.CLASSES[:2], 3)
    said = command.ok("data", "import", "folder", tmp_path / "shapes", "--out", tmp_path / "m.parquet")
    assert said.splitlines()[1].split() == ["shapes", "adapt", "classification", "2", "4", "2", "6", "6"]
    assert said.splitlines()[-1] == f"{tmp_path}/m.parquet: 6 rows written"
    assert command.retune("data", "check", tmp_path / "m.parquet").returncode == 2  # nothing is held out


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_names_all_that_is_wrong_with_images(all_kinds: Path, retune: Retune) -> None:
    folder = all_kinds.parent
    rows = manifest.read(all_kinds)
    places = [folder / path for path in rows["image"].dropna()]
    files = [path for path in places if path.suffix == ".png"]
    files[0].unlink()
    files[1].write_bytes(images.some(77))
    before = all_kinds.read_bytes()
    status, out, _ = retune("data", "check", all_kinds)
    assert status == 2
    assert "wrong: 1 rows (0): images that cannot be read; bring the files back, or import again\n" in out
    assert f"  {files[0]}: cannot be read: No such file or directory\n" in out
    assert "wrong: 1 rows (1): images that have changed since they were imported; import again\n" in out
    assert out.endswith("a study cannot use it\n")
    status, out, _ = retune("data", "check", all_kinds, "--json")
    found = json.loads(out)
    assert (status, found["usable"], found["rows"]) == (2, False, len(rows))
    assert [(one["rows"], one["first_rows"], one["fatal"]) for one in found["problems"]][:2] == [
        (1, [0], True),
        (1, [1], True),
    ]
    assert {one["name"]: one["train"] for one in found["datasets"]}["shapes"] == 9
    assert all_kinds.read_bytes() == before


def test_only_decoding_shows_what_cannot_be_decoded(retune: Retune, tmp_path: Path) -> None:
    for name in images.CLASSES[:2]:
        files = {f"{i}.png": images.some(i) for i in range(4)} | {"bad.png": b"no image"}
        images.write_files(tmp_path / "in" / name.replace(" ", "_"), files)
    for group in ("adapt", "holdout"):
        arguments = ("--dataset", group, "--group", group, "--append", "--no-decode", "--out", "m.parquet")
        assert retune("data", "import", "folder", "in", *arguments)[0] == 0
    assert retune("data", "check", "m.parquet", "--no-decode")[0] == 0
    status, out, _ = retune("data", "check", "m.parquet")
    assert status == 2
    assert "wrong: 4 rows (4, 9, 14, 19): images that cannot be decoded; repair them, or import again" in out


def test_images_that_are_trained_on_and_tested_on_are_noted(retune: Retune, tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 2)):
        for name in ("cat", "dog"):
            offset = first + 50 * (name == "dog")
            files = {f"{i}.png": images.some(i + offset) for i in range(3)}
            images.write_files(tmp_path / "pets" / split / name, files)
    retune("data", "import", "folder", "pets", "--out", "m.parquet")
    _, out, _ = retune("data", "check", "m.parquet")
    assert "note: 2 rows (0, 3): test images that are also trained on" in out


def test_an_image_of_two_classes_is_noted(retune: Retune, tmp_path: Path) -> None:
    for split, offset in (("train", 0), ("test", 10)):
        for k, name in enumerate(("cat", "dog")):
            files = {f"{i}.png": images.some(i + offset + (i > 0) * 50 * k) for i in range(3)}
            images.write_files(tmp_path / "pets" / split / name, files)
    retune("data", "import", "folder", "pets", "--out", "m.parquet")
    _, out, _ = retune("data", "check", "m.parquet")
    assert "note: 2 rows (6, 9): training images that a data set has in more than one class; remove them" in out


def test_check_reads_csv_and_says_what_it_cannot_read(retune: Retune, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image,caption,concept,dataset,split,group\nnone.png,x,cat,d,train,adapt\n")
    status, out, _ = retune("data", "check", "m.csv")
    assert status == 2
    assert "images that cannot be read" in out
    assert "data set d: it has no test images" in out
    status, out, err = retune("data", "check", "none.parquet")
    assert (status, out) == (2, "")
    assert err == "retune: none.parquet: no such file; make a manifest with `retune data import`\n"


def test_images_that_nothing_uses_are_counted(retune: Retune, tmp_path: Path) -> None:
    for split in ("train", "test"):
        images.write_classes(tmp_path / "pets" / split, images.CLASSES[:2], 3)
    (tmp_path / "pets" / "README").write_text("pets")
    _, _, err = retune("data", "import", "folder", "pets", "--out", "m.parquet", "--group", "holdout")
    assert "passed over: 6 images and 1 entries without images, which nothing uses; they are listed in m.sk" in err
    assert "group holdout (6 images),no" in (tmp_path / "m.skipped.csv").read_text()


@settings(deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=6))
def test_any_table_can_be_counted_looked_at_and_shown(rows: list[dict[str, Any]]) -> None:
    frame = framed(rows)
    places = [place for place in sources(frame, Path("/none")) if place is not None]
    assert all(one.wrong is not None for one in inspect(places, decode=True))
    assert data_check.table(data_check.counts(frame))
    assert "<html" in data_page.render(frame, Path("m.parquet"), samples=2, seed=0)


# -- show --------------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """What is in a page: tags with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_samples_of_every_data_set(all_kinds: Path, retune: Retune) -> None:
    status, out, _ = retune("data", "show", all_kinds, "--out", "page.html", "--samples", "4")
    assert status == 0
    assert re.fullmatch(r"page\.html: \d+ kB\n", out)
    text = (all_kinds.parent / "page.html").read_text()
    page = _Page(text)
    shown = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(shown) == 4 * 7 + 3
    for attributes in shown:
        assert attributes["alt"]
        kind, content = str(attributes["src"]).split(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.size == (int(str(attributes["width"])), int(str(attributes["height"])))
    for name in manifest.read(all_kinds)["dataset"].unique():
        assert name in page.text
    assert "caption 0 of" in page.text
    assert "and 2 more captions" in page.text
    assert "prefers-color-scheme: dark" in text


def test_the_page_needs_nothing_else(all_kinds: Path, retune: Retune) -> None:
    retune("data", "show", all_kinds, "--out", "page.html")
    page = _Page((all_kinds.parent / "page.html").read_text())
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    targets = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(str(value).startswith(("data:image/jpeg;base64,", "#")) for value in targets)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_the_draw_depends_on_the_seed_alone(all_kinds: Path, retune: Retune) -> None:
    pages = []
    for seed in ("0", "0", "1"):
        retune("data", "show", all_kinds, "--out", "page.html", "--samples", "3", "--seed", seed)
        pages.append(re.sub(r"with seed \d", "", (all_kinds.parent / "page.html").read_text()))
    assert pages[0] == pages[1]
    assert pages[0] != pages[2]


def test_what_users_write_is_text_on_the_page(retune: Retune, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\" onerror='x' {{ 7 * 7 }}"
    rows = [
        {
            "image": f"{i}.png",
            "caption": (evil,),
            "concept": f"{evil}{i % 2}",
            "dataset": "<em>d<em>",
            "split": "train" if i < 2 else "test",
            "group": "adapt",
            "templates": (f"{{}} {evil}",),
        }
        for i in range(4)
    ]
    images.write_files(tmp_path, {f"{i}.png": images.some(i) for i in range(3)})
    manifest.write(pd.DataFrame(rows), tmp_path / "<i>.parquet")
    assert retune("data", "show", "<i>.parquet", "--out", "page.html")[0] == 0
    page = _Page((tmp_path / "page.html").read_text())
    assert evil in page.text
    assert not {"script", "i", "em"} & {tag for tag, _ in page.tags}
    assert all(attributes.get("alt") == evil for tag, attributes in page.tags if tag == "img")
    assert sum(tag == "img" for tag, _ in page.tags) == 3
    assert "3.png: cannot be read: No such file" in page.text


def test_the_page_stays_small(tmp_path: Path) -> None:
    """Of images that compress badly, as many as all of FoMo-in-Flux would show."""
    noise = Image.effect_noise((300, 200), 120).convert("RGB")
    (tmp_path / "a.png").write_bytes(images.encoded(noise))
    rows = [
        {
            "image": "a.png",
            "caption": ("x",),
            "concept": "c",
            "dataset": f"d{i // 12}",
            "split": "test",
            "group": "adapt",
        }
        for i in range(12 * 30)
    ]
    manifest.write(pd.DataFrame(rows), tmp_path / "m.parquet")
    written = data_page.write_page(tmp_path / "m.parquet", tmp_path / "page.html", samples=12, seed=0)
    assert 1_000_000 < written < 5_000_000


def test_thumbnails_keep_their_shape_and_are_never_large(tmp_path: Path) -> None:
    images.write_files(
        tmp_path,
        {
            "wide.png": images.encoded(Image.new("RGB", (900, 300))),
            "tiny.png": images.encoded(Image.new("RGB", (3, 5))),
        },
    )
    rows = [
        {"image": name, "caption": ("x",), "concept": name, "dataset": "d", "split": "test", "group": "adapt"}
        for name in ("wide.png", "tiny.png")
    ]
    manifest.write(pd.DataFrame(rows), tmp_path / "m.parquet")
    data_page.write_page(tmp_path / "m.parquet", tmp_path / "page.html", samples=2, seed=0)
    page = _Page((tmp_path / "page.html").read_text())
    sizes = [(one["width"], one["height"]) for tag, one in page.tags if tag == "img"]
    assert sizes == [("224", "75"), ("3", "5")]


# -- wrong input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("import folder none --out m.parquet", "none: there is no such file or folder"),
        ("import folder shapes --out m.csv", "--out: m.csv given; a manifest is written as .parquet"),
        ("import folder shapes --out m.parquet --append --overwrite", "--append adds to the manifest and --overwrite"),
        (
            "import folder shapes --out m.parquet --test-share 1.5",
            "--test-share: 1.5 given; allowed: above 0 and below",
        ),
        ("import folder shapes --out m.parquet --group pole", "--group: 'pole' given; allowed: adapt, holdout, pool"),
        ("import folder shapes --out m.parquet --on-bad-image keep", "--on-bad-image: 'keep' given; allowed: error"),
        ("import folder shapes --out m.parquet --caption photo", "--caption: 'photo' given; it needs one {}"),
        ("import hf cifar10 --out m.parquet", "to fetch the data set of this name from the hub, say --download"),
        ("show m.csv --out page.pdf", "--out: page.pdf given; a page is written as .html"),
        ("show m.csv --out none/page.html", "--out: there is no folder none; make it first"),
        ("show m.csv --out page.html --samples 0", "--samples: 0 given; allowed: 1 or more"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(retune: Retune, tmp_path: Path, arguments: str, said: str) -> None:
    images.write_classes(tmp_path / "shapes", images.CLASSES[:2], 2)
    before = set(tmp_path.rglob("*"))
    status, out, err = retune("data", *shlex.split(arguments))
    assert (status, out) == (2, "")
    assert err.startswith("retune: ")
    assert said in err
    assert len(err.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("folder", "--classes"),
        ("folder", "--kind"),
        ("folder", "--image-column"),
        ("csv", "--classes"),
        ("csv", "--download"),
        ("webdataset", "--root"),
        ("webdataset", "--image-column"),
        ("hf", "--split"),
        ("hf", "--stream"),
        ("fif", "--group"),
        ("fif", "--caption"),
        ("fif", "--test-share"),
    ],
)
def test_options_of_other_kinds_are_refused(retune: Retune, kind: str, option: str) -> None:
    status, _, err = retune("data", "import", kind, "x", "--out", "m.parquet", option, "y")
    assert status == 2
    assert "No such option" in err
    assert option in err


def test_every_kind_has_a_command_with_examples() -> None:
    group = typer.main.get_command(import_commands.importing)
    commands = group.commands  # type: ignore[attr-defined]
    assert set(commands) == set(KINDS)
    for kind, one in commands.items():
        assert f"retune data import {kind} " in one.epilog


EXAMPLES = {
    name: text
    for module in (import_commands, data_commands)
    for name, text in vars(module).items()
    if name.endswith("_EXAMPLES")
}


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_examples_are_commands_that_exist(text: str) -> None:
    """Every option of an example is one of its command."""
    group = typer.main.get_command(app.app)
    examples = [line for line in text.splitlines() if line.startswith("retune ")]
    assert examples
    for example in examples:
        words = shlex.split(example.removesuffix(" "))[1:]
        one = group
        while hasattr(one, "commands"):
            one = one.commands[words.pop(0)]
        one.make_context(one.name, words)


def test_the_commands_load_without_what_they_need_later() -> None:
    names = ("pandas", "PIL", "datasets", "jinja2", "torch", "pyarrow")
    code = f"import sys, study.commands.data; loaded = set(sys.modules) & {set(names)}; assert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_generator_makes_what_the_folder_importer_reads(retune: Retune, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.images", tmp_path / "shapes", "--classes", "3", "--per-class", "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    _, out, _ = retune("data", "import", "folder", "shapes", "--out", "m.parquet")
    assert out.splitlines()[1].split() == ["shapes", "adapt", "classification", "3", "12", "30", "42", "42"]
