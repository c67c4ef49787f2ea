"""How large a config is: the steps of a task, and its model."""

import re

from analysis.configs import Config

SIZE_AXES = ("size", "model", "pretrained", "parameters")
SIZES = ("s", "m", "l")
"""Sizes of one kind of model as a column `size` names them, the smallest first."""
LETTERS = ("S", "B", "L", "H", "g", "bigG")
"""Sizes of ViTs as open_clip names them, the smallest first."""

TWO_SIZES = (
    "models of two sizes (a column size (s, m) or parameters of the trials table, or model with names such as ViT-B-32)"
)


def steps_of(config: Config) -> float | None:
    """Steps of a task."""
    return config.number("steps")


def model_size(config: Config) -> float | None:
    """The number of parameters where the study says it, else the place of its size, or of a ViT's name, among sizes."""
    if (count := config.number("parameters")) is not None:
        return count
    if (size := config.axes.get("size")) in SIZES:
        return float(SIZES.index(str(size)))
    found = re.search(r"ViT-(S|B|L|H|g|bigG)-", str(config.axes.get("model") or ""))
    return None if found is None else float(LETTERS.index(found.group(1)))
