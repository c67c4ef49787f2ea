"""Low-rank adapters by peft: W + alpha / rank * B A (arXiv 2106.09685), injected into layers and folded exactly."""

from collections.abc import Sequence

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from trainables.config import Lora


def inject(model: nn.Module, method: Lora, layers: Sequence[str]) -> nn.Module:
    """Add an adapter to each of `layers`, in place; only adapters require gradients afterwards.

    B starts at zero, so the function is unchanged; A is drawn from torch's global generator (seed it around the call).
    """
    assert method.alpha is not None  # a validated config has it
    config = LoraConfig(
        r=method.rank, lora_alpha=method.alpha, target_modules=list(layers), lora_dropout=0.0, bias="none"
    )
    adapted: nn.Module = inject_adapter_in_model(config, model)
    return adapted


def fold(model: nn.Module) -> nn.Module:
    """Add every adapter to its layer's weight and put the plain layer back, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BaseTunerLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())
    return model
