"""Texts at the length they have: captions without their padding and without repeats, and the tower that reads them.

Attention over text is causal and a text's feature is read at its <end>, so what follows the <end> changes neither the
feature nor a gradient. Leaving it out, and encoding a caption once that several images share, is exact up to rounding.
"""

from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.transformer import text_global_pool
from torch import Tensor


class Captions(NamedTuple):
    """The U distinct captions of a batch, padded with zeros to the longest of them, and the row of each sample's."""

    tokens_UL: NDArray[np.int64]  # noqa: N815
    caption_B: NDArray[np.int64]  # noqa: N815


def distinct(tokens_BL: NDArray[np.integer]) -> Captions:
    """Captions padded with zeros, without repeats and without columns that are padding of all of them."""
    tokens_UL, caption_B = np.unique(trimmed(tokens_BL), axis=0, return_inverse=True)
    return Captions(tokens_UL.astype(np.int64), caption_B.astype(np.int64))


def trimmed(tokens_BL: NDArray[np.integer]) -> NDArray[np.integer]:
    """A view of captions padded with zeros, without the last columns that are zero throughout; one column is left."""
    used = np.flatnonzero(tokens_BL.any(axis=0))
    return tokens_BL[:, : used[-1] + 1 if len(used) else 1]


def encode_text(model: Any, tokens_UL: Tensor) -> Tensor:
    """Features [U, D] of captions cut by `trimmed`: `CLIP.encode_text` of open_clip 3.3 at the length L of `tokens_UL`.

    A model that looks past the <end> reads the captions padded to its context, which is the same and saves nothing.
    """
    length = tokens_UL.shape[1]
    features_UD: Tensor
    if not _ends_at_end(model):
        features_UD = model.encode_text(F.pad(tokens_UL, (0, model.context_length - length)))
        return features_UD
    kind = model.transformer.get_cast_dtype()
    x_ULW = model.token_embedding(tokens_UL).to(kind) + model.positional_embedding[:length].to(kind)
    x_ULW = model.ln_final(model.transformer(x_ULW, attn_mask=model.attn_mask[:length, :length]))
    features_UD = text_global_pool(x_ULW, tokens_UL, model.text_pool_type, eos_token_id=model.text_eos_id)
    projection = model.text_projection
    if projection is not None:
        features_UD = features_UD @ projection if isinstance(projection, Tensor) else projection(features_UD)
    return features_UD


def _ends_at_end(model: Any) -> bool:
    """Whether a feature is read at the <end> and depends on no later token; an <end> of 0 cannot be told from padding.

    The text tower of open_clip's `CLIP` has a mask exactly where it is causal.
    """
    at_end = model.text_pool_type == "argmax" or (model.text_pool_type == "eos" and model.text_eos_id != 0)
    return at_end and model.attn_mask is not None
