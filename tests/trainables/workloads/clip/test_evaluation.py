"""Evaluation: against open_clip's own zero-shot code, and against the words of the definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip import build_zero_shot_classifier
from torch import Tensor

from tests.trainables import toys
from trainables import cycle
from trainables.build import Builder
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.workloads.clip.data.corpus import Corpus
from trainables.workloads.clip.evaluation import (
    Classification,
    Retrieval,
    accuracy,
    mean_of_prompts,
    part,
    products_in,
    recall,
)
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.settings import Evaluation, Subset
from trainables.workloads.workload import Workload

NAMES = [str(i) for i in range(toys.NEW)]
TEMPLATES = ("{} 2 1", "2 {}", "{}")


def tokenize(texts: list[str]) -> Tensor:
    """Words are numbers of concepts."""
    rows = torch.zeros(len(texts), toys.CONTEXT_LENGTH, dtype=torch.long)
    for row, words in zip(rows, texts, strict=True):
        ids = [1, *(3 + int(word) for word in words.split()), toys.END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def classification(metric: str = "accuracy", keep: int = 32) -> Classification:
    test = toys.corpus().suite[0]
    assert isinstance(test, Classification)
    prompts = tokenize([template.format(name) for name in NAMES for template in TEMPLATES]).numpy()
    return Classification(
        name="new",
        group="adapt",
        images=np.asarray(test.images)[:keep],
        labels=test.labels[:keep],
        classes=tuple(NAMES),
        prompts=prompts.reshape(len(NAMES), len(TEMPLATES), -1),
        metric=metric,
    )


def workload(*suite: Classification | Retrieval) -> ClipWorkload:
    made = toys.workload()
    made._load = lambda: Corpus(segments=(), suite=suite)
    return made


def test_scores_are_those_of_open_clip_with_several_templates() -> None:
    test = classification()
    made = workload(test)
    model = made.architecture().eval()
    weights = build_zero_shot_classifier(model, lambda texts: tokenize(list(texts)), NAMES, TEMPLATES)
    with torch.no_grad():
        pixels = (torch.tensor(np.asarray(test.images)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        logits = 100.0 * model.encode_image(pixels, normalize=True) @ weights  # type: ignore[operator]
    expected = (logits.argmax(dim=1).numpy() == test.labels).mean()
    (score,) = made.evaluate(model)
    assert score.value == expected
    assert (score.metric, score.n) == ("accuracy", 32)


def test_a_class_is_the_mean_of_its_prompts() -> None:
    texts = F.normalize(torch.randn(4, 3, 8), dim=-1)
    expected = torch.stack([sum(F.normalize(t, dim=0) for t in one) for one in texts])  # type: ignore[misc]
    torch.testing.assert_close(mean_of_prompts(texts), F.normalize(expected, dim=-1))
    assert mean_of_prompts(texts[:, :1]).data_ptr() == texts[:, :1].data_ptr()


def test_mean_per_class_accuracy_weighs_classes_alike_and_needs_images_of_them() -> None:
    labels, guesses = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 3])
    assert accuracy(labels, guesses, "accuracy") == 0.5
    assert accuracy(labels, guesses, "mean_per_class_accuracy") == pytest.approx((2 / 3 + 0) / 2)
    made = workload(classification("mean_per_class_accuracy", keep=30))
    (score,) = made.evaluate(made.architecture())
    assert score.metric == "mean_per_class_accuracy"


def by_hand(images: Tensor, texts: Tensor, image: Tensor, k: int) -> float:
    """The definition, by sorting all similarities."""
    near = texts @ images.T
    to_image = [int(image[j]) in near[j].argsort(descending=True)[:k] for j in range(len(texts))]
    to_text = [
        bool(set(near[:, i].argsort(descending=True)[:k].tolist()) & set(torch.where(image == i)[0].tolist()))
        for i in range(len(images))
    ]
    return float(np.mean(to_image) + np.mean(to_text)) / 2


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 8), st.integers(0, 1000))
def test_recall_is_its_definition(count: int, captions: int, k: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    images = F.normalize(torch.randn(count, 6, generator=draw), dim=-1)
    image = torch.arange(count).repeat_interleave(captions)
    texts = F.normalize(images[image] + torch.randn(len(image), 6, generator=draw), dim=-1)
    assert recall(images, texts, image, k) == pytest.approx(by_hand(images, texts, image, k))


def test_recall_of_a_perfect_and_of_a_reversed_model() -> None:
    images = torch.eye(12)
    assert recall(images, images, torch.arange(12), 1) == 1
    assert recall(images, images, torch.arange(12).flip(0), 1) == 0


def large(counts: list[int]) -> Classification:
    """A data set whose classes have so many images each; the first pixel says which image it is."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 1, 1, 3), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
    return Classification(
        name="large",
        group="adapt",
        images=images,
        labels=labels,
        classes=tuple(str(i) for i in range(len(counts))),
        prompts=np.zeros((len(counts), 1, 2), dtype=np.int64),
    )


def numbers(test: Classification) -> list[int]:
    pixels = test.images[np.arange(len(test.images))][:, 0, 0].astype(int)
    return [int(low + 256 * high) for low, high, _ in pixels]


def subset_of(test: Classification, share: float, seed: int = 0, least: int = 300) -> Classification:
    found = part(test, Subset(share=share, seed=seed, least=least))
    assert isinstance(found, Classification)
    return found


def test_a_subset_is_balanced_and_the_same_for_all_models() -> None:
    test = large([2000, 1000, 900, 60])
    found = subset_of(test, 0.1)
    assert len(found.images) == len(found.labels) == 396
    assert np.bincount(found.labels).tolist()[3] == 60
    assert min(np.bincount(found.labels)[:3]) >= 99
    assert numbers(found) == sorted(set(numbers(found)))
    np.testing.assert_array_equal(found.labels, test.labels[numbers(found)])
    assert numbers(subset_of(test, 0.1)) == numbers(found)
    assert numbers(subset_of(test, 0.1, seed=1)) != numbers(found)


def test_a_subset_has_300_images_and_two_a_class_if_there_are_so_many() -> None:
    assert len(subset_of(large([1000, 1000]), 0.01).labels) == 300
    assert len(subset_of(large([100, 80]), 0.01).labels) == 180
    many = subset_of(large([5] * 200), 0.01)
    assert np.bincount(many.labels).tolist() == [2] * 200
    assert len(subset_of(large([100, 80]), 0.01, least=50).labels) == 50


def test_a_subset_is_scored_under_a_name_of_its_own() -> None:
    """And all images at the ends: the zero-shot point and the last task."""
    store = MemoryStore()
    reported: list[int] = []
    builder = Builder(toys.workload(), store, Runtime())
    subset = Evaluation(subset=Subset(share=0.1))
    cycle.run(toys.trial(tasks=3), builder, lambda step, _: reported.append(step.task), evaluation=subset)
    assert reported == [0, 1, 2, 3]
    assert len(store.keys("scores")) == 4 + 2
    assert toys.IDENTITY.suite_of(subset) != toys.IDENTITY.suite_of(Evaluation()) == toys.IDENTITY.suite


def test_retrieval_sets_are_scored_beside_others() -> None:
    test = toys.corpus().suite[0]
    captions = tokenize([f"{label} 2" for label in range(8) for _ in range(2)]).numpy()
    retrieval = Retrieval(
        name="found",
        group="holdout",
        images=np.asarray(test.images)[::4],
        tokens=captions,
        image=np.arange(8).repeat(2),
        k=3,
    )
    made: Workload = workload(retrieval, classification())
    first, second = made.evaluate(made.architecture())
    assert (first.dataset, first.metric, first.n) == ("found", "recall@3", 8)
    assert second.dataset == "new"
    assert 0 <= first.value <= 1


def test_bf16_is_near_fp32_and_scores_come_from_embeddings_in_fp32() -> None:
    made = workload(classification())
    model = made.architecture().eval()
    images = np.asarray(classification().images)
    with torch.inference_mode():
        exact, near = (torch.cat([*made._encoders(model, one).images(images)]) for one in ("fp32", "bf16"))
    assert exact.dtype == near.dtype == torch.float32
    assert not torch.equal(exact, near)
    torch.testing.assert_close(exact, near, rtol=0.05, atol=0.05)
    (score,) = made.evaluate(model, Evaluation(precision="bf16"))
    assert 0 <= score.value <= 1


def test_tf32_is_allowed_while_it_is_asked_for_and_is_fp32_on_a_cpu() -> None:
    made = workload(classification())
    model = made.architecture().eval()
    assert made.evaluate(model, Evaluation(precision="tf32")) == made.evaluate(model)
    with products_in("tf32", "cpu"):
        assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    Runtime().apply()
    with products_in("bf16", "cpu"):
        assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_a_precision_is_scored_under_a_name_of_its_own() -> None:
    names = {toys.IDENTITY.suite_of(Evaluation(precision=one)) for one in ("fp32", "tf32", "bf16")}
    assert len(names) == 3
    assert toys.IDENTITY.suite in names
