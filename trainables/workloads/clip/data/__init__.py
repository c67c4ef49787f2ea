"""Images with captions that users bring: the manifest that lists them, and the cache that they are decoded to."""
