"""The page that `retune data show` writes: counts of each data set, and a grid of images with what is said of them.

One file that needs no other, no network and no scripts. It stays below about 5 MB: the more images, the smaller each.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from study.data.check import Counts, counts
from study.data.importers.rows import shown
from trainables.files import whole
from trainables.frozen import ConfigError
from trainables.randomness import generator
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import ImageError, Source, decoded, encoded
from trainables.workloads.clip.data.inspection import sources

TEMPLATE = "page.html.j2"
_SIDE = 224
_PAGE_BYTES = 3_600_000
"""Of all images; base64 makes 4.8 MB of them."""
_SMALLER = ((224, 85), (224, 70), (224, 50), (160, 60), (128, 50), (96, 50), (64, 40), (48, 30))
"""Longest side and JPEG quality, the first that fits."""
_LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class Tile:
    """An image on the page with its caption: a data URI, or the reason why there is none."""

    uri: str | None
    width: int
    height: int
    wrong: str
    captions: tuple[str, ...]
    more: int
    concept: str
    split: str

    @property
    def alt(self) -> str:
        """What the image shows, in words."""
        return self.captions[0] if self.captions else self.concept or "an image without words"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A data set of the page."""

    counts: Counts
    metric: str
    templates: tuple[str, ...]
    tiles: tuple[Tile, ...]


def write_page(path: Path, out: Path, *, samples: int, seed: int) -> int:
    """Write the page of a manifest; returns its bytes.

    Args:
        path: the manifest.
        out: the page.
        samples: images of each data set, drawn at random.
        seed: of the draw.

    Raises:
        ConfigError: the manifest or a value cannot be used, or there is no folder for the page.
    """
    if samples < 1:
        raise ConfigError(f"--samples: {samples} given; allowed: 1 or more")
    if not out.resolve().parent.is_dir():
        raise ConfigError(f"--out: there is no folder {out.parent}; make it first")
    if out.suffix not in (".html", ".htm"):
        raise ConfigError(f"--out: {out} given; a page is written as .html")
    page = render(manifest.read(path), path, samples=samples, seed=seed).encode("utf-8", "replace")
    with whole(out) as file:
        file.write_bytes(page)
    return len(page)


def render(frame: pd.DataFrame, path: Path, *, samples: int, seed: int) -> str:
    """The page as text."""
    drawn = {one.name: _drawn(frame, one.name, samples, seed) for one in counts(frame)}
    each = _PAGE_BYTES // max(1, sum(map(len, drawn.values())))
    places = sources(frame, path.resolve().parent)
    sections = [
        Section(
            counts=one,
            metric=_first(frame, one, "metric")
            or (manifest.RECALL if one.kind == "retrieval" else manifest.METRICS[0]),
            templates=_first(frame, one, "templates") or (),
            tiles=tuple(_tile(frame.iloc[i], places[i], each) for i in drawn[one.name]),
        )
        for one in counts(frame)
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(TEMPLATE).render(
        source=shown(path), rows=len(frame), sections=sections, problems=manifest.problems(frame), seed=seed
    )


def _drawn(frame: pd.DataFrame, name: str, samples: int, seed: int) -> list[int]:
    """Rows drawn from a data set's images, in their order; half of train and half of test where there are enough."""
    rows = frame[(frame["dataset"] == name) & (frame["split"] != "label")]
    some: list[int] = []
    for split in ("test", "train"):
        of_split = list(rows.index[rows["split"] == split])
        other = int((rows["split"] != split).sum()) if split == "test" else len(some)
        wanted = max(samples - other, samples // 2) if split == "test" else samples - other
        order = generator(seed, "page", name, split).permutation(len(of_split))[: max(0, wanted)]
        some += [int(of_split[i]) for i in order]
    return sorted(some)


def _tile(row: Any, place: Source | None, most_bytes: int) -> Tile:
    uri, size, wrong = None, (0, 0), ""
    try:
        if place is None:
            raise ImageError("this row has no image")
        image = decoded(encoded(place), place).convert("RGB")
        uri, size = _thumbnail(image, most_bytes)
    except ImageError as error:
        wrong = str(error)
    captions = row["caption"] or ()
    return Tile(
        uri=uri,
        width=size[0],
        height=size[1],
        wrong=shown(wrong),
        captions=tuple(_cut(text) for text in captions[:3]),
        more=max(0, len(captions) - 3),
        concept=str(row["concept"] or ""),
        split=str(row["split"]),
    )


def _thumbnail(image: Image.Image, most_bytes: int) -> tuple[str, tuple[int, int]]:
    """A JPEG as a data URI, and its size."""
    for side, quality in _SMALLER:
        small = image.copy()
        small.thumbnail((side, side))
        content = io.BytesIO()
        small.save(content, "JPEG", quality=quality)
        if content.tell() <= most_bytes:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}", small.size


def _first(frame: pd.DataFrame, one: Counts, column: str) -> Any:
    return next(iter(frame.loc[frame["dataset"] == one.name, column].dropna()), None)


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]} ..."
