"""From what an importer found to a manifest: every image is looked at, all that is wrong is said, then it is written.

Nothing is left out silently: what is bad ends the import, or with `skip` stands in a list beside the manifest, as all
does that is no image.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from study.data.importers.rows import Imported, Skipped, shown
from trainables.files import whole
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import Source
from trainables.workloads.clip.data.inspection import Meter, inspect, sources
from trainables.workloads.clip.data.manifest import Problem

Bad = Literal["error", "skip"]
_SHOWN = 5
_NO_CAPTION = "it has no caption, or an empty one"
_RENAME = "give another name with --dataset"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The manifest that rows go to, and what happens to bad rows.

    Attributes:
        out: the manifest.
        mode: new, or append to it, or overwrite it.
        on_bad: whether a bad image ends the import or is skipped.
        decode: whether images are decoded, which alone shows that they can be.

    Raises:
        ConfigError: a value is not allowed, or the manifest is there already.
    """

    out: Path
    mode: Literal["new", "append", "overwrite"] = "new"
    on_bad: str = "error"
    decode: bool = True

    def __post_init__(self) -> None:
        if self.on_bad not in get_args(Bad):
            raise ConfigError(f"--on-bad-image: {self.on_bad!r} given; allowed: {', '.join(get_args(Bad))}")
        if self.out.suffix != ".parquet":
            raise ConfigError(f"--out: {self.out} given; a manifest is written as .parquet")
        if self.out.is_dir():
            raise ConfigError(f"--out: {self.out} is a folder; name a file in it, such as {self.out}/manifest.parquet")
        if self.out.exists() and self.mode == "new":
            raise ConfigError(f"--out: {self.out} is there; name another file, or say --append or --overwrite")

    @property
    def skipped(self) -> Path:
        """The list of what was skipped."""
        return self.out.with_suffix(".skipped.csv")

    @property
    def root(self) -> Path:
        """The folder that relative paths of the manifest start from."""
        return self.out.resolve().parent


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an import did.

    Attributes:
        added: the new rows.
        skipped: what became no row.
        problems: of the manifest as it is now; a study needs what the fatal ones ask for.
    """

    added: pd.DataFrame
    skipped: tuple[Skipped, ...]
    problems: tuple[Problem, ...]


def write_manifest(found: Imported, target: Target) -> Outcome:
    """Write imported rows to a manifest, or add them to one.

    Raises:
        ConfigError: images are bad, a data set is in the manifest already, or no study could use what would be written.
    """
    before = manifest.read(target.out) if target.mode == "append" and target.out.exists() else None
    _require_new_names(found.rows, before, target.out, found.remedies.get("dataset", _RENAME))
    rows, bad = _checked(found.rows, target)
    skipped = (*found.skipped, *bad)
    wrong = [one for one in skipped if one.bad]
    if wrong and target.on_bad == "error":
        raise ConfigError(_refusal(wrong, found))
    try:
        if not len(rows):
            raise ConfigError(f"nothing is left to import; {_first(wrong)}" if wrong else "there is nothing to import")
        _require_sound(rows, target, wrong, found.remedies)
    except ConfigError as error:
        if not wrong or before is not None or target.out.exists():
            raise
        _write_list(skipped, target, "")
        raise ConfigError(f"{error}\n  all that is left out is listed in {target.skipped}") from error
    paths = [_relative(path, target.root) for path in rows["image"]]
    rows = rows.assign(image=pd.Series(paths, dtype=object))
    whole = manifest.canonical(rows if before is None else pd.concat([before, rows], ignore_index=True))
    found_problems = manifest.problems(whole)
    fatal = [one for one in found_problems if one.fatal and one.rows]
    if fatal:
        raise ConfigError("\n".join(f"{target.out}: {one}" for one in fatal))
    earlier = _listed(target) if before is not None else ""
    manifest.write(whole, target.out)
    _write_list(skipped, target, earlier)
    return Outcome(added=rows, skipped=skipped, problems=found_problems)


def _checked(rows: pd.DataFrame, target: Target) -> tuple[pd.DataFrame, list[Skipped]]:
    """Divide rows into those that can be used, with the hashes of their images, and those that are skipped."""
    places = sources(rows, target.root)
    reasons: list[str | None] = [None] * len(rows)
    texts = ["image", "member", "caption", "concept"]
    for i, (values, lacks) in enumerate(
        zip(rows[texts].itertuples(index=False), manifest.without_caption(rows), strict=True)
    ):
        if not all(manifest.is_text(text) for text in _texts(values)):
            reasons[i] = "its name, class or caption has characters that are no text"
        elif lacks:
            reasons[i] = _NO_CAPTION
    images = [(i, place) for i, place in enumerate(places) if place is not None and reasons[i] is None]
    looks = inspect([place for _, place in images], decode=target.decode, meter=Meter(len(images)))
    hashes = list(rows["sha256"])
    for (i, place), look in zip(images, looks, strict=True):
        hashes[i] = look.sha256
        reasons[i] = None if look.wrong is None else look.wrong.removeprefix(f"{place}: ")
    bad = [
        Skipped(where=_place(places[i], i, rows), reason=reason)
        for i, reason in enumerate(reasons)
        if reason is not None
    ]
    good = [reason is None for reason in reasons]
    return rows.assign(sha256=pd.Series(hashes, dtype=object))[good].reset_index(drop=True), bad


def _texts(values: Sequence[Any]) -> list[str]:
    return [
        one for value in values for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, str)
    ]


def _place(source: Source | None, number: int, rows: pd.DataFrame) -> str:
    if source is not None and source.path is not None:
        return str(source)
    row = rows.iloc[number]
    return f"{row['dataset']}, {row['split']}, row {number}"


def _require_new_names(rows: pd.DataFrame, before: pd.DataFrame | None, out: Path, instead: str) -> None:
    if before is None:
        return
    known = set(before["dataset"].dropna())
    again = sorted({str(name) for name in rows["dataset"].dropna()} & {str(name) for name in known})
    if again:
        raise ConfigError(
            f"{out}: it has {', '.join(map(shown, again[:_SHOWN]))} already; {instead}, or make the manifest anew with "
            "--overwrite"
        )


def _require_sound(rows: pd.DataFrame, target: Target, wrong: Sequence[Skipped], remedies: Mapping[str, str]) -> None:
    """Raises: ConfigError: data sets are no use; what the whole manifest lacks may come with the next import."""
    fatal = [one for one in manifest.problems(rows) if one.fatal and one.rows]
    if not fatal:
        return
    places = sources(rows, target.root)
    lines = ["the data cannot be used, and no manifest is written"]
    for one in fatal:
        first = f" (the first is {shown(_place(places[one.rows[0]], one.rows[0], rows))})"
        lines.append(f"  {one}{first if len(one.rows) < len(rows) else ''}")
    if wrong:
        lines.append(f"  {_counted(wrong)} are left out of it; {_first(wrong)}")
    if "concept" in remedies and any("without a concept" in one.what for one in fatal):
        lines.append(f"  {remedies['concept']}")
    raise ConfigError("\n".join(lines))


def _refusal(wrong: Sequence[Skipped], found: Imported) -> str:
    """The message of a refused import: damaged shards come first, since lost images follow from them."""
    total = int((found.rows["split"] != "label").sum()) + sum(one.count for one in found.skipped if one.bad)
    bad, shards = [one for one in wrong if one.count], [one for one in wrong if not one.count]
    lines = [f"{_counted(wrong, total)} cannot be used, and nothing is written"]
    for some in (shards, bad):
        lines += [f"  {one}" for one in some[:_SHOWN]]
        if len(some) > _SHOWN:
            lines.append(f"  and {len(some) - _SHOWN} more")
    if len(bad) == total and all("No such file" in str(one) for one in bad):
        lines.append("  none is there: paths start from the folder of the table, or from the one that --root names")
    lacking = sum(one.reason == _NO_CAPTION for one in bad)
    if lacking and "caption" in found.remedies:
        lines.append(f"  {found.remedies['caption']}")
    if not lacking or lacking < total:
        lines.append("  repair or remove them, or leave them out, with a list of them, by --on-bad-image skip")
    return "\n".join(lines)


def _counted(wrong: Sequence[Skipped], total: int | None = None) -> str:
    """The numbers of bad shards and of bad images, in words."""
    images, shards = sum(one.count for one in wrong), sum(not one.count for one in wrong)
    whole = "bad images" if total is None else f"of {total} images"
    parts = [f"{shards} damaged shards"] * bool(shards) + [f"{images} {whole}"] * bool(images)
    return " and ".join(parts)


def _first(wrong: Sequence[Skipped]) -> str:
    shards = [one for one in wrong if not one.count]
    return f"the first: {(shards or wrong)[0]}"


def _relative(path: str | None, root: Path) -> str | None:
    """A path as the manifest has it: relative if it lies below the manifest's folder, which can then be moved."""
    if path is None or not Path(path).is_relative_to(root):
        return path
    return os.path.relpath(path, root)


def _listed(target: Target) -> str:
    """What earlier imports skipped."""
    try:
        return target.skipped.read_bytes().decode()
    except FileNotFoundError:
        return ""


def _write_list(skipped: Sequence[Skipped], target: Target, earlier: str) -> None:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    if not earlier:
        rows.writerow(("where", "reason", "bad"))
    rows.writerows((_writable(one.where), _writable(one.reason), "yes" if one.bad else "no") for one in skipped)
    if not skipped and not earlier:
        target.skipped.unlink(missing_ok=True)
        return
    with whole(target.skipped) as file:
        file.write_text(earlier + text.getvalue(), encoding="utf-8", newline="")


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
