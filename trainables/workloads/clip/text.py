"""Texts at the length they have: captions without their padding and without repeats, and the tower that reads them.

Where attention over text is causal and a text's feature is read at its <end>, later tokens change neither the feature
nor a gradient. Leaving it out, and encoding a caption once that several images share, is exact up to
rounding. Zeros count as padding; where a tokenizer pads with another token, nothing is cut.
"""

from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.transformer import TextTransformer, text_global_pool
from torch import Tensor


class Captions(NamedTuple):
    """The U distinct captions of a batch, at the length of the longest of them, and the row of each sample's."""

    tokens_UL: NDArray[np.int64]  # noqa: N815
    caption_B: NDArray[np.int64]  # noqa: N815


def distinct(tokens_BL: NDArray[np.integer]) -> Captions:
    """Captions without repeats and without the last columns that are zero in all of them."""
    tokens_UL, caption_B = np.unique(trimmed(tokens_BL), axis=0, return_inverse=True)
    return Captions(tokens_UL.astype(np.int64), caption_B.astype(np.int64))


def trimmed(tokens_BL: NDArray[np.integer]) -> NDArray[np.integer]:
    """A view of captions without the last columns that are zero throughout; one column is left."""
    used = np.flatnonzero(tokens_BL.any(axis=0))
    return tokens_BL[:, : used[-1] + 1 if len(used) else 1]


def encode_text(model: Any, tokens_UL: Tensor) -> Tensor:
    """Features [U, D] of captions cut by `trimmed`: `encode_text` of open_clip 3.3 at the length L of `tokens_UL`.

    A model that looks past the <end> reads the captions at its full context, which saves nothing. `trimmed` cuts zeros
    alone, whatever a tokenizer pads with, so zeros restore the full length.
    """
    length = tokens_UL.shape[1]
    features_UD: Tensor
    tower = _transformer(model)
    if tower is None or not _ends_at_end(tower):
        features_UD = model.encode_text(F.pad(tokens_UL, (0, model.context_length - length)))
        return features_UD
    kind = tower.transformer.get_cast_dtype()
    x_ULW = tower.token_embedding(tokens_UL).to(kind) + tower.positional_embedding[:length].to(kind)
    x_ULW = tower.ln_final(tower.transformer(x_ULW, attn_mask=tower.attn_mask[:length, :length]))
    features_UD = text_global_pool(x_ULW, tokens_UL, tower.pool_type, eos_token_id=tower.eos_id)
    projection = tower.text_projection
    if projection is not None:
        features_UD = features_UD @ projection if isinstance(projection, Tensor) else projection(features_UD)
    return features_UD


class _Transformer(NamedTuple):
    """A text tower by its modules, with the names that they have in open_clip's `TextTransformer`."""

    transformer: Any
    token_embedding: Any
    positional_embedding: Tensor
    ln_final: Any
    text_projection: Any
    attn_mask: Any
    pool_type: str
    eos_id: int | None


def _transformer(model: Any) -> _Transformer | None:
    """The text tower if it is open_clip's own; None if another library made it, or if it adds tokens or masks."""
    if isinstance(model, CLIP):
        own = [getattr(model, name) for name in _Transformer._fields[:-2]]
        return _Transformer._make([*own, model.text_pool_type, model.text_eos_id])
    tower = model.text
    if not isinstance(tower, TextTransformer) or tower.cls_emb is not None or tower.use_pad_mask:
        return None
    return _Transformer._make(getattr(tower, name) for name in _Transformer._fields)


def _ends_at_end(tower: _Transformer) -> bool:
    """Whether a feature is read at the <end> and depends on no later token; an <end> of 0 cannot be told from padding.

    A text tower of open_clip has a mask exactly where it is causal.
    """
    at_end = tower.pool_type == "argmax" or (tower.pool_type == "eos" and tower.eos_id != 0)
    return at_end and tower.attn_mask is not None
