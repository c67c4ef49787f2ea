"""Image files that are made up: coloured shapes on backgrounds, and images that are broken in many ways.

A class is a colour and a shape, and a small model can learn it; place, size, turn and background are drawn from a
seed. As a script it makes a folder of class folders:

python -m tests.images shapes/ --classes 8 --per-class 40
"""

import argparse
import io
import json
import math
import random
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 140, 44),
    "blue": (31, 95, 190),
    "yellow": (240, 205, 40),
    "purple": (130, 60, 170),
    "orange": (245, 130, 30),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "bar", "hexagon")
CLASSES = tuple(
    f"{colour} {SHAPES[(i + j) % len(SHAPES)]}" for i in range(len(SHAPES)) for j, colour in enumerate(COLOURS)
)
"""All 64, in an order in which the first eight differ in both colour and shape."""

_CORNERS = {"square": 4, "triangle": 3, "hexagon": 6}


def shape(name: str, seed: object, size: int = 64) -> Image.Image:
    """An image of a class such as "red circle"; equal seeds make equal images."""
    draw_from = random.Random(f"{name}/{seed}")
    colour, kind = name.split(" ")
    rgb = COLOURS[colour]
    ground = rgb
    while math.dist(ground, rgb) < 120:
        ground = (draw_from.randrange(256), draw_from.randrange(256), draw_from.randrange(256))
    image = Image.new("RGB", (size, size), ground)
    pen = ImageDraw.Draw(image)
    for _ in range(6):  # clutter that says nothing of the class
        x, y, r = draw_from.randrange(size), draw_from.randrange(size), draw_from.randrange(1, size // 16 + 2)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(min(255, one + 25) for one in ground))
    radius = size * draw_from.uniform(0.22, 0.36)
    at = (draw_from.uniform(radius, size - radius), draw_from.uniform(radius, size - radius))
    _draw(pen, kind, at, radius, turn=draw_from.uniform(0, 2 * math.pi), fill=rgb)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    """An image as a file's content."""
    content = io.BytesIO()
    image.save(content, kind, **settings)
    return content.getvalue()


def some(index: int, *, size: int = 24, kind: str = "PNG") -> bytes:
    """The content of one of many different images."""
    return encoded(shape(CLASSES[index % len(CLASSES)], index, size), kind)


# -- odd and broken images ---------------------------------------------------------------------------------------------


def odd_images() -> dict[str, bytes]:
    """Images that are right, in modes and sizes that decoders stumble over."""
    red = shape("red circle", 0)
    transparent = red.copy()
    transparent.putalpha(100)
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    return {
        "palette.png": encoded(palette),
        "palette-transparent.png": encoded(palette, transparency=bytes(range(0, 256, 16))),
        "16-bit.png": encoded(Image.new("I;16", (20, 10), 40_000)),
        "16-bit.tif": encoded(Image.new("I;16", (20, 10), 40_000), "TIFF"),
        "cmyk.jpg": encoded(red.convert("CMYK"), "JPEG"),
        "alpha.png": encoded(transparent),
        "grey-alpha.png": encoded(red.convert("LA")),
        "grey.jpg": encoded(red.convert("L"), "JPEG"),
        "one-bit.png": encoded(red.convert("1")),
        "one-pixel.png": encoded(Image.new("RGB", (1, 1), (1, 2, 3))),
        "thin.png": encoded(Image.new("RGB", (1, 500), (1, 2, 3))),
        "animated.gif": encoded(red, "GIF", save_all=True, append_images=[shape("blue star", 1)]),
        "lossless.webp": encoded(red, "WEBP", lossless=True),
    }


def broken_images() -> dict[str, bytes]:
    """Files that are no image that can be used."""
    jpeg = encoded(shape("red circle", 0), "JPEG")
    png = encoded(shape("red circle", 0))
    return {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": png[: len(png) // 2],
        "header-only.jpg": jpeg[:20],
        "empty.jpg": b"",
        "text.jpg": b"this is no image\n",
        "page.png": b"<!doctype html><title>404</title>",
        "bomb.png": bomb(),
    }


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A small PNG whose header claims a size that would fill the memory."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# -- layouts -----------------------------------------------------------------------------------------------------------


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their paths below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_classes(
    folder: Path, classes: Sequence[str], count: int, *, size: int = 24, seed: int = 0, kind: str = "PNG"
) -> Path:
    """Write `count` images of each class into a folder of its name, with _ for spaces."""
    for name in classes:
        inner = folder / name.replace(" ", "_")
        inner.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            suffix = {"JPEG": "jpg"}.get(kind, kind.lower())
            (inner / f"{i:04}.{suffix}").write_bytes(encoded(shape(name, f"{seed}/{i}", size), kind))
    return folder


def write_shard(path: Path, members: Mapping[str, bytes], *, compression: str = "") -> Path:
    """Write a tar with members in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, f"w:{compression}") as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(count: int, *, first: int = 0) -> dict[str, bytes]:
    """Members of WebDataset samples with captions and class names."""
    members = {}
    for i in range(first, first + count):
        name = CLASSES[i % 4]
        members[f"{i:06}.png"] = some(i)
        members[f"{i:06}.txt"] = f"a picture of a {name}, number {i}".encode()
        members[f"{i:06}.cls.txt"] = name.encode()
    return members


def write_hugging_face(path: Path, count: int, *, classes: Sequence[str] = CLASSES[:3], captions: bool = True) -> Path:
    """Save a data set of Hugging Face with splits train and test on disk, with the last class in neither."""
    import datasets

    def split(first: int) -> datasets.Dataset:
        rows = range(first, first + count)
        columns: dict[str, list[Any]] = {
            "image": [{"bytes": some(i), "path": None} for i in rows],
            "label": [i % (len(classes) - 1) for i in rows],
        }
        features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(classes))}
        if captions:
            columns["caption"] = [[f"one caption of {i}", f"another of {i}"] for i in rows]
            features["caption"] = datasets.List(datasets.Value("string"))
        return datasets.Dataset.from_dict(columns, features=datasets.Features(features))

    datasets.disable_progress_bars()
    datasets.DatasetDict({"train": split(0), "test": split(count)}).save_to_disk(str(path))
    return path


def fif_entry(classname: str | None, number: int, **fields: Any) -> dict[str, Any]:
    """An entry of an info file of FoMo-in-Flux, with the fields that are given changed."""
    return {
        "classname": classname,
        "default_caption": None,
        "primer_caption": None if classname is None else f"A photo of a {classname}, a type of shape.",
        "synthetic_caption": [f"something {number}"],
        "synthetic_merged_caption": f"A photo of a {classname}, number {number}.",
        "target": number,
        **fields,
    }


def write_fif(data: Path, *, tar: Sequence[str] = ("GTSRB",)) -> Path:
    """Write four data sets in the layout of FoMo-in-Flux: DTD, FSCOCO (adapt), GTSRB, MSCOCO (held out).

    Args:
        data: the folder of the data.
        tar: data sets whose images are members of ROOT.tar; those of others are files of ROOT/.
    """
    info = data / "00_info"
    classes = list(CLASSES[:3])
    sets: dict[str, dict[str, dict[str, dict[str, Any]]]] = {"DTD": {}, "FSCOCO": {}, "GTSRB": {}, "MSCOCO": {}}
    for split in ("train", "test"):
        sets["DTD"][split] = {f"images/{split} {i}.png": fif_entry(classes[i % 2], i) for i in range(4)}
        sets["FSCOCO"][split] = {
            f"sketches/{split}/{i}.png": fif_entry(
                classes[i % 2],
                i,
                default_caption=f"A sketch of {i}.",
                primer_caption=None,
                synthetic_merged_caption=None,
            )
            for i in range(4)
        }
    sets["GTSRB"]["test"] = {f"signs/{i}.png": fif_entry(classes[i % 3], i) for i in range(6)}
    sets["MSCOCO"]["test"] = {
        f"val/{i}.png": fif_entry(
            None, i, default_caption=[f"caption {k} of {i}" for k in range(5)], synthetic_merged_caption=None
        )
        for i in range(3)
    }
    info.mkdir(parents=True, exist_ok=True)
    for root in ("DTD", "FSCOCO", "GTSRB"):
        (info / f"{root}_classnames.json").write_text(json.dumps(classes))
    number = 0
    for root, splits in sets.items():
        images = {}
        for split, entries in splits.items():
            (info / f"{root}_{split}.json").write_text(json.dumps(entries))
            for name in entries:
                images[f"{root}/{name}"] = some(number)
                number += 1
        if root in tar:
            write_shard(data / f"{root}.tar", images)
        else:
            write_files(data, images)
    return data


def _draw(
    pen: ImageDraw.ImageDraw, kind: str, at: tuple[float, float], radius: float, *, turn: float, fill: tuple[int, ...]
) -> None:
    x, y = at
    box = (x - radius, y - radius, x + radius, y + radius)

    def corner(angle: float, reach: float) -> tuple[float, float]:
        return x + reach * math.cos(turn + angle), y + reach * math.sin(turn + angle)

    def bar(angle: float, width: float) -> list[tuple[float, float]]:
        return [corner(angle + side, radius) for side in (width, math.pi - width, math.pi + width, -width)]

    if kind == "circle":
        pen.ellipse(box, fill=fill)
    elif kind == "ring":
        pen.ellipse(box, outline=fill, width=max(2, int(radius / 3)))
    elif kind == "star":
        pen.polygon([corner(i * math.pi / 5, radius if i % 2 == 0 else 0.4 * radius) for i in range(10)], fill=fill)
    elif kind == "cross":
        pen.polygon(bar(0, 0.3), fill=fill)
        pen.polygon(bar(math.pi / 2, 0.3), fill=fill)
    elif kind == "bar":
        pen.polygon(bar(0, 0.3), fill=fill)
    else:
        corners = _CORNERS[kind]
        pen.polygon([corner(2 * math.pi * i / corners, radius) for i in range(corners)], fill=fill)


def main() -> None:
    """Make OUT/train/CLASS and OUT/test/CLASS."""
    parser = argparse.ArgumentParser(description="Make images of coloured shapes, in folders of classes.")
    parser.add_argument("out", type=Path, help="a folder, new or empty")
    parser.add_argument("--classes", type=int, default=8, help="number of classes, up to 64")
    parser.add_argument("--first", type=int, default=0, help="number of the first class, so that two folders differ")
    parser.add_argument("--per-class", type=int, default=40, help="training images of each class")
    parser.add_argument("--test-per-class", type=int, default=10, help="test images of each class")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not 0 <= given.first < given.first + given.classes <= len(CLASSES):
        parser.error(f"--first and --classes: classes {given.first} to {given.first + given.classes}; there are 64")
    if given.out.exists() and any(given.out.iterdir()):
        parser.error(f"{given.out} is not empty")
    classes = CLASSES[given.first : given.first + given.classes]
    for split, count in (("train", given.per_class), ("test", given.test_per_class)):
        seed = 2 * given.seed + (split == "test")
        write_classes(given.out / split, classes, count, size=given.size, seed=seed, kind="JPEG")
    print(f"{given.out}: {len(classes)} classes, {given.per_class} + {given.test_per_class} images of each")


if __name__ == "__main__":
    main()
