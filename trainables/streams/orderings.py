"""Orders of the concepts of a stream, as permutations that depend on the order's number alone."""

from collections.abc import Sequence

from trainables.randomness import generator


def random_order(concepts: Sequence[str], order: int) -> tuple[str, ...]:
    """The concepts shuffled; another `order` is another shuffle."""
    return tuple(concepts[i] for i in generator("ordering", "random", order).permutation(len(concepts)))


ORDERINGS = {"random": random_order}
