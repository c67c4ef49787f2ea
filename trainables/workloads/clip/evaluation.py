"""Evaluation of a two-tower model: zero-shot classification and retrieval, each from embeddings of length 1.

A class is the mean of the embeddings of its prompts (arXiv 2103.00020, section 3.1.4, and open_clip's own zero-shot
code). Recall@K is the mean of both directions: captions whose image is among the K nearest images, and images of which
a caption is among the K nearest captions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trainables.metrics import Group, Score
from trainables.randomness import generator
from trainables.workloads.clip.data.pixels import Images, Rows
from trainables.workloads.settings import EvaluationPrecision, Subset

_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Classification:
    """A data set of classes.

    Attributes:
        images: [N, H, W, 3].
        labels: [N], the class of each.
        classes: names of the C classes.
        prompts: tokens [C, K, L], K prompts of each class.
        metric: "accuracy", or "mean_per_class_accuracy": the mean over classes that have images.
    """

    name: str
    group: Group
    images: Images
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    prompts: NDArray[np.integer]
    metric: str = "accuracy"


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """A data set of images, each with captions of its own.

    Attributes:
        images: [N, H, W, 3].
        tokens: [M, L], the captions.
        image: [M], the image of each.
        k: of recall@k.
    """

    name: str
    group: Group
    images: Images
    tokens: NDArray[np.integer]
    image: NDArray[np.int64]
    k: int


TestSet = Classification | Retrieval


@contextmanager
def products_in(precision: EvaluationPrecision, kind: str) -> Iterator[None]:
    """Let matrix products and convolutions on a kind of device be of a type."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    try:
        products.allow_tf32 = convolutions.allow_tf32 = precision == "tf32"
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """The towers, which read large batches.

    Attributes:
        images: embeddings [B, D] of images [N, H, W, 3], a batch at a time, of any length.
        texts: embeddings [N, D] of tokens [N, L], of length 1.
    """

    images: Callable[[Images], Iterator[Tensor]]
    texts: Callable[[NDArray[np.integer]], Tensor]


def evaluate(suite: tuple[TestSet, ...], encoders: Encoders) -> tuple[Score, ...]:
    """The score of each data set."""
    classifiers = iter(_classifiers([test for test in suite if isinstance(test, Classification)], encoders))
    return tuple(
        _classified(test, next(classifiers), encoders)
        if isinstance(test, Classification)
        else _retrieved(test, encoders)
        for test in suite
    )


def part(test: TestSet, subset: Subset) -> TestSet:
    """A subset of a data set's images, the same for all models: as many of each class as there are, then any.

    Retrieval sets stay whole: every image is an answer to find among all others.
    """
    count = len(test.images)
    if isinstance(test, Retrieval):
        return test
    size = subset.size(count, len(test.classes))
    rng = generator("subset", subset.seed, test.name)
    shuffled = rng.permutation(count)
    nth = np.empty(count, dtype=np.int64)  # of each image, how many of its class come before it
    for label in np.unique(test.labels):
        own = shuffled[test.labels[shuffled] == label]
        nth[own] = np.arange(len(own))
    rounds = size // max(1, len(np.unique(test.labels)))
    balanced = shuffled[nth[shuffled] < rounds]
    rest = shuffled[nth[shuffled] >= rounds]
    rows = np.sort(np.concatenate([balanced, rest[: size - len(balanced)]]))
    return replace(test, images=Rows(test.images, rows), labels=test.labels[rows])


def mean_of_prompts(texts_CKD: Tensor) -> Tensor:
    """Embeddings [C, D] of classes from those of their prompts [C, K, D], all of length 1."""
    if texts_CKD.shape[1] == 1:
        return texts_CKD[:, 0]
    return F.normalize(texts_CKD.mean(dim=1), dim=-1)


def accuracy(labels: NDArray[np.int64], guesses: NDArray[np.int64], metric: str) -> float:
    """The share of right guesses: of all images, or as a mean over the classes that have images."""
    right = labels == guesses
    if metric == "accuracy":
        return int(right.sum()) / len(labels)
    shares = np.bincount(labels, weights=right) / np.maximum(np.bincount(labels), 1)
    return float(shares[np.unique(labels)].mean())


def recall(images_ND: Tensor, texts_MD: Tensor, image_M: Tensor, k: int) -> float:
    """Mean of text-to-image and image-to-text recall@k.

    A neighbour that is exactly as near as the right answer does not push it out, so ties depend on no order.
    """
    found = torch.zeros(len(texts_MD), dtype=torch.bool)
    best_N = torch.full((len(images_ND),), -torch.inf)
    own_M = torch.empty(len(texts_MD))
    for begin in range(0, len(texts_MD), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        near = texts_MD[rows] @ images_ND.T
        own = near.gather(1, image_M[rows, None])
        found[rows] = ((near > own).sum(dim=1) < k).cpu()
        own_M[rows] = own[:, 0].cpu()
    best_N.scatter_reduce_(0, image_M.cpu(), own_M, "amax")
    hit = torch.zeros(len(images_ND), dtype=torch.bool)
    for begin in range(0, len(images_ND), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        near = (texts_MD @ images_ND[rows].T).T  # as above, so that the best caption is as near here as there
        hit[rows] = ((near > best_N[rows, None].to(near.device)).sum(dim=1) < k).cpu()
    return (float(found.double().mean()) + float(hit.double().mean())) / 2


def _classifiers(tests: list[Classification], encoders: Encoders) -> list[Tensor]:
    """Embeddings [C, D] of each set's classes; the prompts of all sets are encoded together."""
    if not tests:
        return []
    texts = encoders.texts(np.concatenate([test.prompts.reshape(-1, test.prompts.shape[-1]) for test in tests]))
    sizes = [test.prompts.shape[0] * test.prompts.shape[1] for test in tests]
    return [
        mean_of_prompts(part.unflatten(0, test.prompts.shape[:2]))
        for test, part in zip(tests, texts.split(sizes), strict=True)
    ]


def _classified(test: Classification, classes_CD: Tensor, encoders: Encoders) -> Score:
    guesses = np.concatenate(
        [(images_BD @ classes_CD.T).argmax(dim=-1).cpu().numpy() for images_BD in encoders.images(test.images)]
    )
    value = accuracy(test.labels, guesses, test.metric)
    return Score(dataset=test.name, group=test.group, metric=test.metric, value=value, n=len(test.labels))


def _retrieved(test: Retrieval, encoders: Encoders) -> Score:
    images, texts = F.normalize(torch.cat([*encoders.images(test.images)]), dim=-1), encoders.texts(test.tokens)
    value = recall(images, texts, torch.from_numpy(test.image).to(images.device), test.k)
    return Score(dataset=test.name, group=test.group, metric=f"recall@{test.k}", value=value, n=len(test.images))
