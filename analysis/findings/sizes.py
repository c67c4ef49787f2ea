"""How large a config is: the steps of a task, and its model."""

import re

from analysis.configs import Config

SIZE_AXES = ("size", "model", "pretrained", "parameters")
SIZES = ("s", "m", "l")
"""Sizes of one kind of model as a column `size` names them, the smallest first."""
LETTERS = ("S", "B", "L", "H", "g", "bigG")
"""Sizes of ViTs as open_clip names them, the smallest first."""

TWO_SIZES = (
    "models of two sizes (studies of both asked together, or a column size (s, m), parameters or model (such as "
    "ViT-B-32) of the trials table)"
)


def steps_of(config: Config) -> float | None:
    """Steps of a task."""
    return config.number("steps")


def model_size(config: Config) -> float | None:
    """The number of parameters where the study says it, else the place of its size, or of a ViT's name, among sizes."""
    said = said_size(config)
    return None if said is None else said[1]


def said_size(config: Config) -> tuple[str, float] | None:
    """The axis that says how large a config's model is, and the size, which compares with others of this axis alone."""
    if (count := config.number("parameters")) is not None:
        return "parameters", count
    if (size := config.axes.get("size")) in SIZES:
        return "size", float(SIZES.index(str(size)))
    found = re.search(r"ViT-(S|B|L|H|g|bigG)-", str(config.axes.get("model") or ""))
    return None if found is None else ("model", float(LETTERS.index(found.group(1))))
