"""Ways of training, as values: what a method attaches to a model, and how the result becomes plain weights again."""

from trainables.methods.attach import Attached, attach

__all__ = ["Attached", "attach"]
