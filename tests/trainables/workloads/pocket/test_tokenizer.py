"""The tokenizer: open_clip's convention, and a vocabulary that knows every word of the world."""

import hashlib

import numpy as np
import torch

from trainables.workloads.pocket.tokenizer import CONTEXT_LENGTH, END, START, UNKNOWN, VOCABULARY_SIZE, WORDS, tokenize
from trainables.workloads.pocket.world.datasets import DATASETS, data_sets
from trainables.workloads.pocket.world.rendering import pool_samples


def test_convention_of_open_clip() -> None:
    tokens = tokenize(["the digit three", "a red star"])
    assert tokens.shape == (2, CONTEXT_LENGTH)
    assert tokens.dtype == torch.long
    assert tokens[:, 0].tolist() == [START, START]
    assert tokens.argmax(dim=1).tolist() == [4, 4]
    assert tokens[0, 4] == END == VOCABULARY_SIZE - 1
    assert tokens[0, 5:].tolist() == [0] * (CONTEXT_LENGTH - 5)
    torch.testing.assert_close(tokenize("the digit three"), tokens[:1])


def test_every_caption_is_known_and_fits() -> None:
    rows = [row for seed in (0, 1) for row in data_sets(seed).values()]
    captions = [template.format(c) for row in rows for c in row.concepts for template in row.templates]
    captions += [caption for candidates in pool_samples(np.arange(2_000))[1] for caption in candidates]
    tokens = tokenize(captions)
    assert not (tokens == UNKNOWN).any()
    assert [len(caption.split()) + 1 for caption in captions] == tokens.argmax(dim=1).tolist()


def test_ids_are_distinct_and_keep_case() -> None:
    assert list(WORDS) == sorted(set(WORDS))
    assert len({tuple(tokenize(word)[0].tolist()) for word in WORDS}) == len(WORDS)
    assert tokenize("A").tolist() != tokenize("a").tolist()
    assert tokenize("The digit THREE.").tolist() == tokenize("the digit three").tolist()


def test_unknown_and_overlong_text() -> None:
    assert tokenize("zebra")[0, 1] == UNKNOWN
    cut = tokenize(" ".join(["star"] * 30), context_length=6)
    assert cut.shape == (1, 6)
    assert cut[0, -1] == END


def test_concepts_of_a_data_set_are_told_apart() -> None:
    for row in DATASETS.values():
        tokens = tokenize([row.prompt.format(c) for c in row.concepts])
        assert len(tokens.unique(dim=0)) == len(row.concepts)


def test_vocabulary_is_that_of_the_shipped_weights() -> None:
    """Ids are places in the sorted words: another word anywhere needs weights pretrained anew."""
    assert hashlib.sha256(" ".join(WORDS).encode()).hexdigest()[:16] == "7a9fe740aae23fa2"
