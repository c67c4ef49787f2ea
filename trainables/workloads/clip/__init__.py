"""CLIP models of open_clip: attention with separate projections, the contrastive loss, zero-shot evaluation."""
