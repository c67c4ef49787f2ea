"""What is the same for all rows of a data set that is imported, and how its images are divided into train and test."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest

TEST_SHARE = 0.2
CAPTION_REMEDY = f'--caption "{manifest.TEMPLATE}" makes one of the class'
PARTS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval")
"""Names of the parts that a data set is divided into, which are no names of data sets."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What the command line says of a whole data set; None and () stand for what it does not say.

    Attributes:
        name: of the data set; importers have defaults, such as the folder's name.
        group: adapt | holdout | pool; None: adapt, where the source does not say it.
        kind: classification | retrieval.
        captions: templates of captions, for rows that bring none: "a photo of a {}.".
        templates: prompts of its classes in evaluation.
        metric: how it is scored.
        year: when it appeared.

    Raises:
        ConfigError: a value is not allowed.
    """

    name: str | None = None
    group: str | None = None
    kind: str | None = None
    captions: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    metric: str | None = None
    year: str | None = None

    def __post_init__(self) -> None:
        if self.group is not None:
            _one_of("--group", self.group, manifest.GROUPS)
        if self.kind is not None:
            _one_of("--kind", self.kind, manifest.KINDS)
        if self.metric is not None and not manifest.is_metric(self.metric):
            allowed = ", ".join((*manifest.METRICS, "recall@K"))
            raise ConfigError(f"--metric: {self.metric!r} given; allowed: {allowed}")
        if self.year is not None and not manifest.is_year(self.year):
            raise ConfigError(f"--year: {self.year!r} given; write 2021, or a date such as 2021-03-01")
        for option, texts in (("--caption", self.captions), ("--template", self.templates)):
            for text in texts:
                if text.count("{}") != 1:
                    raise ConfigError(
                        f'{option}: {text!r} given; it needs one {{}} where the class goes: "{manifest.TEMPLATE}"'
                    )
        if self.name is not None and (not self.name.strip() or "/" in self.name):
            raise ConfigError(f"--dataset: {self.name!r} given; a name has characters, and no /")

    @property
    def group_or_adapt(self) -> str:
        """The group that was given, or adapt."""
        return self.group or "adapt"

    def named(self, default: str, *, instead: str = "say --dataset NAME") -> str:
        """The name that was given, or a default.

        Raises:
            ConfigError: the default is what a part of a data set is called; `instead` says what to do.
        """
        if self.name is None and default.lower() in PARTS:
            raise ConfigError(f"the data set would be called {default!r}, as a part of one is; {instead}")
        return self.name if self.name is not None else default

    def captions_of(self, concept: str | None) -> tuple[str, ...] | None:
        """Captions for an image without captions of its own; None where there is no template or no class."""
        if concept is None or not self.captions:
            return None
        return tuple(template.replace("{}", concept) for template in self.captions)

    @property
    def columns(self) -> dict[str, object]:
        """The columns in which all rows of the data set have the same value."""
        return {
            "group": self.group_or_adapt,
            "kind": self.kind,
            "templates": self.templates or None,
            "metric": self.metric,
            "year": self.year,
        }


@dataclass(frozen=True, kw_only=True)
class Division:
    """How images that come without a split are divided into train and test.

    Attributes:
        test_share: of each class, 0 to 1; None: 0.2.
        seed: of the draw.

    Raises:
        ConfigError: the share is not between 0 and 1.
    """

    test_share: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.test_share is not None and not 0 < self.test_share < 1:
            raise ConfigError(f"--test-share: {self.test_share:g} given; allowed: above 0 and below 1")

    def splits(self, names: Sequence[str], concepts: Sequence[str | None], group: str) -> list[str]:
        """Train or test for each image.

        A class gives the images whose names have the smallest hashes, so the order in which they are found and what
        other classes have does not matter. A class of two or more has at least one of each; of one, it is trained on.

        Args:
            names: of the images; what a draw depends on.
            concepts: their classes; images without one are divided as one class.
            group: the pool is all train, what is held out all test.

        Raises:
            ConfigError: a share is given for a group that is not divided.
        """
        if group != "adapt":
            if self.test_share is not None:
                whole = "trained on" if group == "pool" else "tested on"
                raise ConfigError(f"--test-share: all of group {group} is {whole}; leave the option out")
            return ["train" if group == "pool" else "test"] * len(names)
        share = TEST_SHARE if self.test_share is None else self.test_share
        classes: dict[str | None, list[int]] = {}
        for i, concept in enumerate(concepts):
            classes.setdefault(concept, []).append(i)
        splits = ["train"] * len(names)
        for rows in classes.values():
            count = min(max(1, round(share * len(rows))), len(rows) - 1)
            for i in sorted(rows, key=lambda i: _hash(self.seed, names[i]))[:count]:
                splits[i] = "test"
        return splits


def classes_of(path: Path | None) -> tuple[str, ...] | None:
    """Names of classes by number, read from a file with one name a line; None without a file.

    Raises:
        ConfigError: the file cannot be read, or a line is empty or repeated.
    """
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--classes: {path} cannot be read as UTF-8 text: {error}") from error
    names = tuple(line.strip() for line in lines)
    while names and not names[-1]:
        names = names[:-1]
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    wrong = [i for i, name in enumerate(names) if not name or first[name] != i]
    if wrong or not names:
        what = f"line {wrong[0] + 1} is empty or repeats an earlier one" if wrong else "it is empty"
        raise ConfigError(f"--classes: {path}: {what}; give the name of one class a line, in the order of the indices")
    return names


def _one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{option}: {value!r} given; allowed: {', '.join(allowed)}")


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()
