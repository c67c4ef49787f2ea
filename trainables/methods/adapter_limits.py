"""Limits of adapters: sizes and arguments that the chosen layers cannot have are refused before anything runs.

Only adapters of kind `peft` cost the import of peft: they are tried on layers of the same widths.
"""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import fields

from trainables.frozen import ConfigError
from trainables.methods.parts import Adapter, FourierFt, LowRank, Oft, Peft, Vera
from trainables.methods.peft_types import LAYER_ADAPTERS, OURS, SEEDS
from trainables.workloads.anatomy import Projection

_NEED_DATA = ("eva", "corda", "loftq", "lora_ga")

_ROUNDING = 1e-4  # of a layer's outputs, which are of size one


def check(adapter: Adapter, projections: Sequence[Projection]) -> None:
    """Refuse an adapter that these layers cannot have.

    Raises:
        ConfigError: what was given and what is allowed.
    """
    if not projections:
        raise ConfigError(
            f"targets, towers, layers: {adapter.targets!r}, {adapter.towers!r} and {adapter.layers!r} given, which "
            "together choose no layer of the model; choose at least one"
        )
    match adapter:
        case LowRank(rank=rank):
            narrow = min(projections, key=_width)
            if rank > _width(narrow):
                raise ConfigError(
                    f"rank: {rank} given; allowed: 1 to {_width(narrow)}, the smaller width of {narrow.name} "
                    f"({narrow.inputs} inputs, {narrow.outputs} outputs)"
                )
        case Oft(block_size=size):
            common = math.gcd(*(projection.inputs for projection in projections))
            if common % size:
                allowed = ", ".join(str(n) for n in range(2, common + 1) if common % n == 0)
                raise ConfigError(f"block_size: {size} given; allowed: {allowed or 'none'}, which divide all inputs")
        case FourierFt(frequencies=frequencies):
            _check_size("frequencies", frequencies, projections)
        case Vera(rank=rank):  # its random matrices may be wider than the layer: the paper takes rank 1024 at width 768
            _check_size("rank", rank, projections)
        case Peft():
            _check_peft(adapter, projections)


def _check_peft(adapter: Peft, projections: Sequence[Projection]) -> None:
    if adapter.peft_type not in LAYER_ADAPTERS:
        raise ConfigError(
            f"peft_type: {adapter.peft_type!r} given; allowed: {', '.join(LAYER_ADAPTERS)}; no other type of peft is a "
            "layer adapter that folds into weights"
        )
    import peft  # takes seconds

    config = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING.get(adapter.peft_type)
    if config is None:
        raise ConfigError(
            f"peft_type: {adapter.peft_type!r} given, which peft {peft.__version__} does not have; install a newer"
        )
    known = {field.name for field in fields(config)}
    allowed = sorted(name for name in known - {*OURS, *SEEDS} if "dropout" not in name)
    for name, value in json.loads(adapter.arguments).items():
        if name not in allowed:
            reason = (
                f"cannot be set for {adapter.peft_type} here"
                if name in known
                else f"is unknown for {adapter.peft_type}"
            )
            raise ConfigError(f"arguments: {name!r} {reason}; allowed: {', '.join(allowed)}")
        _check_argument(name, value, min(map(_width, projections)))
    from trainables.methods.adapters import rehearse

    try:
        with warnings.catch_warnings(action="ignore"):  # of peft's own code; nothing that a user could change
            rehearsal = rehearse(adapter, projections)
    except Exception as error:  # peft says what it refuses by errors of any type
        raise ConfigError(f"arguments: {adapter.arguments} given, which peft refuses: {error}") from error
    if not rehearsal.at_first < _ROUNDING:
        raise ConfigError(
            f"arguments: {adapter.arguments} given, with which {adapter.peft_type} changes the model before it trains; "
            "choose another initialisation, such as init_weights: true"
        )
    if not rehearsal.when_folded < _ROUNDING:
        raise ConfigError(
            f"arguments: {adapter.arguments} given, with which {adapter.peft_type} does not fold into weights exactly; "
            "leave out what changes the forward pass alone"
        )


def _check_argument(name: str, value: object, width: int) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if name in ("r", "rank") and number is not None and number > width:
        raise ConfigError(f"arguments: {name}: {value} given; allowed: 1 to {width}, the smaller width of a layer")
    if name.endswith("alpha") and number is not None and number <= 0:
        raise ConfigError(f"arguments: {name}: {value} given; allowed: greater than 0")
    if name == "init_lora_weights" and value in _NEED_DATA:
        raise ConfigError(
            f"arguments: {name}: {value!r} needs data before training; allowed: true, gaussian, pissa, olora"
        )


def _check_size(name: str, size: int, projections: Sequence[Projection]) -> None:
    small = min(projections, key=lambda projection: projection.inputs * projection.outputs)
    most = small.inputs * small.outputs
    if size > most:
        raise ConfigError(
            f"{name}: {size} given; allowed: 1 to {most}, the weights of {small.name} "
            f"({small.inputs} inputs, {small.outputs} outputs)"
        )


def _width(projection: Projection) -> int:
    return min(projection.inputs, projection.outputs)
