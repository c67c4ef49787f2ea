"""Types of adapters of peft that can be used here, and the arguments of peft that are not for users to set."""

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

OURS = (
    "alora_invocation_tokens",
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
"""Arguments of peft's configs that choose the layers with an adapter, or train more; `Scope` does the former."""

SEEDS = ("projection_prng_key", "projection_seed", "random_loc_seed", "random_seed")
"""Arguments of peft's configs that seed random draws; they follow the seed of the trial."""
