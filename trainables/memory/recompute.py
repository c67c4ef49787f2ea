"""Activation checkpointing: blocks of a model whose insides are computed again for the backward pass, not kept for it.

Only what goes into each block is kept. The same kernels run on the same values, so losses, gradients and weights are
the same bits; a step takes up to a third more time where all blocks have gradients. The libraries have switches of
their own, which some towers lack (open_clip's ResNets), and some ignore where nothing before a block has a gradient
(re-entrant ones of transformers); this is one form for all of them. Blocks without gradients keep nothing anyway.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(blocks: Sequence[nn.Module]) -> None:
    """Let the backward pass compute blocks again, in place; no name or value of the model changes."""
    for block in blocks:
        # Nothing is drawn in a forward pass, so the state of no random generator has to be kept and set back.
        forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
        block.forward = forward
