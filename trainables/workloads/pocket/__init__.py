"""The pocket benchmark: a procedural world of small pictures with captions, and a small CLIP pretrained on it."""
