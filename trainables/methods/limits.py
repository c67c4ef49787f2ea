"""What an adapter can be on the layers that it is put on, said before anything runs.

Only adapters of kind `peft` cost the import of peft: they are put on layers of the same widths, to see what it says.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import fields

from trainables.frozen import ConfigError
from trainables.methods.method import Adapter, FourierFt, LowRank, Oft, Peft
from trainables.workloads.anatomy import Projection

LAYER_ADAPTERS = (
    "BEFT",
    "C3A",
    "DEFT",
    "DELORA",
    "FOURIERFT",
    "GRALORA",
    "HIRA",
    "HRA",
    "LOHA",
    "LOKR",
    "LORA",
    "MISS",
    "OFT",
    "OSF",
    "PEANUT",
    "PSOFT",
    "RANDLORA",
    "ROAD",
    "SUPERTUNING",
    "TINYLORA",
    "VERA",
)
"""Types of peft that can leave the function unchanged at first, train all they add, and fold into weights exactly.

Of the others BOFT, WAVEFT, UNILORA, VBLORA, SHIRA and ADAMSS cannot be counted on the meta device (and BOFT compiles an
extension), GLORA has parameters that never move, PVERA trains with noise, ADALORA wants to be called after each step,
LN_TUNING trains a copy of the whole layer, IA3 is a method of its own, and the rest change no weight of a layer.
"""

_OURS = (
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "exclude_modules",
    "fan_in_fan_out",
    "feedforward_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "revision",
    "target_modules",
    "target_parameters",
    "task_type",
    "trainable_token_indices",
)
"""Arguments of peft's configs that say which layers have an adapter, or train something beside it."""

SEEDS = ("projection_prng_key", "projection_seed", "random_loc_seed", "random_seed")
"""Arguments of peft's configs that say what is drawn; they follow the seed of the trial."""

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
            small = min(projections, key=lambda projection: projection.inputs * projection.outputs)
            most = small.inputs * small.outputs
            if frequencies > most:
                raise ConfigError(
                    f"frequencies: {frequencies} given; allowed: 1 to {most}, the weights of {small.name} "
                    f"({small.inputs} inputs, {small.outputs} outputs)"
                )
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
    allowed = sorted(name for name in known - {*_OURS, *SEEDS} if "dropout" not in name)
    for name in json.loads(adapter.arguments):
        if name not in allowed:
            reason = (
                f"cannot be set for {adapter.peft_type} here"
                if name in known
                else f"is unknown for {adapter.peft_type}"
            )
            raise ConfigError(f"arguments: {name!r} {reason}; allowed: {', '.join(allowed)}")
    from trainables.methods.adapters import changes_at_first

    try:
        change = changes_at_first(adapter, projections)
    except Exception as error:  # peft says what it refuses by errors of any type
        raise ConfigError(f"arguments: {adapter.arguments} given, which peft refuses: {error}") from error
    if not change < _ROUNDING:
        raise ConfigError(
            f"arguments: {adapter.arguments} given, with which {adapter.peft_type} changes the model before it trains; "
            "choose another initialisation, such as init_weights: true"
        )


def _width(projection: Projection) -> int:
    return min(projection.inputs, projection.outputs)
