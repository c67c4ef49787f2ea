"""Merging of a user's files from the command line: what was asked for is checked before anything is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import torch

from trainables.frozen import ConfigError, parse
from trainables.merging.merge import MergeError, Source
from trainables.merging.merge_files import Record, merge_files, record_of
from trainables.merging.rule import MergeRule

_WHERE = "merge"


def rule_named(name: str, **settings: object) -> MergeRule:
    """The rule of the command line's options; one that is None is not given.

    Raises:
        ConfigError: an unknown rule, or a setting that it has not or that is not allowed.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    return parse(MergeRule, {"name": name, **given}, source=_WHERE, named=_option)


def _option(keys: tuple[str, ...]) -> str:
    """The option that sets a key of a rule."""
    return f": --{'rule' if key == 'name' else key.replace('_', '-')}" if (key := ".".join(keys)) else ""


def merge_named(
    rule: MergeRule,
    inputs: Sequence[Path],
    out: Path,
    *,
    base: Path | None,
    w: float | None,
    weights: str | None,
    fishers: Sequence[Path],
    seed: int,
    integers: str,
    overwrite: bool,
    two: bool,
) -> Record:
    """Merge files as the command line names them; `two`: the rule was asked for by a name that merges two.

    Raises:
        ConfigError: an option is wrong or missing, or the files cannot be merged.
    """
    if out.suffix != ".safetensors":
        raise ConfigError(f"{_WHERE}: --out: {out} given; weights are written as .safetensors")
    for there in (out, record_of(out)):
        if there.exists() and not overwrite:
            raise ConfigError(f"{_WHERE}: --out: {there} is there; name another file, or say --overwrite")
    if rule.agree is not None and rule.agree > len(inputs):
        raise ConfigError(f"{_WHERE}: --agree: {rule.agree} given; there are {len(inputs)} files that could agree")
    if not out.parent.is_dir():
        raise ConfigError(f"{_WHERE}: --out: there is no folder {out.parent}; make it first")
    if integers not in get_args(Source):
        raise ConfigError(f"{_WHERE}: --integers: {integers!r} given; allowed: {', '.join(get_args(Source))}")
    if fishers and rule.row.kind != "fisher":
        raise ConfigError(f"{_WHERE}: --fisher: the rule {rule.name} uses no Fisher matrices; leave them out")
    shares = _weights(rule, len(inputs), w=w, weights=weights, two=two)
    torch.set_num_threads(1)  # bits do not depend on the machine's cores, and memory is what limits
    try:
        return merge_files(
            rule,
            inputs,
            out,
            weights=shares,
            base=base,
            fishers=fishers,
            seed=seed,
            integers=cast("Source", integers),
        )
    except MergeError as error:
        raise ConfigError(f"{_WHERE}: {error}") from error


def _weights(
    rule: MergeRule, count: int, *, w: float | None, weights: str | None, two: bool
) -> tuple[float, ...] | None:
    """Weights of the inputs, oldest first."""
    if (w is not None or weights is not None) and not rule.row.weighs:
        raise ConfigError(f"{_WHERE}: --{'w' if weights is None else 'weights'}: the rule {rule.name} has no weights")
    if w is not None and weights is not None:
        raise ConfigError(f"{_WHERE}: --w and --weights say the same; give one of them")
    if weights is not None:
        try:
            return tuple(float(one) for one in weights.split(","))
        except ValueError as error:
            raise ConfigError(f"{_WHERE}: --weights: {weights!r} given; numbers such as 1,1,2 are needed") from error
    if w is not None:
        if count != 2 or not 0 <= w <= 1:
            what = f"{w:g} given; allowed: 0 to 1" if count == 2 else f"weighs the old of two files; there are {count}"
            raise ConfigError(f"{_WHERE}: --w: {what}")
        return w, 1 - w
    if (two or rule.row.most == 2) and count == 2:
        raise ConfigError(f"{_WHERE}: --w: missing; the weight of the OLD file, 0 to 1 (or --rule average)")
    return None
