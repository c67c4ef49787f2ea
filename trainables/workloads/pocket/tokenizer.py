"""The pocket tokenizer: one id per word of the world, with open_clip's calling convention.

Ids are 0 for padding, then <start>, <unk>, the words in sorted order, and <end> as the highest, because open_clip pools
the text at the argmax of its ids. Words keep their case, since the letter A is not the article.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.workloads.pocket.world.sentences import sentences

WORDS: tuple[str, ...] = tuple(sorted({word for sentence in sentences() for word in sentence.split()}))
START, UNKNOWN = 1, 2
END = len(WORDS) + 3
VOCABULARY_SIZE = END + 1
CONTEXT_LENGTH = 10

_IDS: dict[str, int] = {word: k + 3 for k, word in enumerate(WORDS)}


def tokenize(texts: str | Sequence[str], context_length: int = CONTEXT_LENGTH) -> Tensor:
    """Ids [n, context_length] of the texts; what does not fit is cut, and <end> is always there."""
    rows = [texts] if isinstance(texts, str) else list(texts)
    tokens = torch.zeros(len(rows), context_length, dtype=torch.long)
    for row, text in enumerate(rows):
        words = [_id(word) for word in text.split()][: context_length - 2]
        ids = [START, *words, END]
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens


def _id(word: str) -> int:
    word = word.strip(".,;:!?")
    return _IDS.get(word, _IDS.get(word.lower(), UNKNOWN))
