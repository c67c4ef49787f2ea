"""Orderings: permutations that say what they promise, by facts that are known, and the same for the same order."""

from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tests.trainables import toys
from trainables.frozen import ConfigError
from trainables.streams.orderings import ORDERINGS, Stream, forward, ordered
from trainables.workloads.catalogue import identify
from trainables.workloads.clip.evaluation import Classification
from trainables.workloads.pocket.settings import Pocket

DATASETS = ("a", "b", "c", "d")
CONCEPTS = tuple(f"{dataset}/{i}" for dataset in DATASETS for i in range(10))
YEARS = {"a": 2020, "b": 2018, "c": 2018, "d": 2019}
DRAWN = {"random", "frequency", "similarity", "time", "time_mixed", "dataset"}
"""Orderings of which each number is another order."""

ALL = [name for ordering in ORDERINGS for name in (ordering, f"reversed_{ordering}")]


def facts(kind: str) -> NDArray[np.generic]:
    rng = np.random.default_rng(0)
    numbers = np.arange(len(CONCEPTS))
    known: dict[str, NDArray[np.generic]] = {
        "loss": rng.permutation(numbers).astype(np.float32),
        "count": numbers % 5,
        "text": np.stack([np.cos(numbers / 20), np.sin(numbers / 20)], axis=1)[rng.permutation(numbers)],
        "image": rng.normal(size=(len(CONCEPTS), 8)),
        "year": np.array([YEARS[concept[0]] for concept in CONCEPTS]),
    }
    return known[kind]


def order_of(ordering: str, order: int = 0, **more: str) -> tuple[str, ...]:
    stream = Stream.model_validate({"ordering": ordering, **more})
    return ordered(stream, order, concepts=CONCEPTS, facts=facts)


def by(fact: str) -> Callable[[str], float]:
    values = facts(fact)
    return lambda concept: float(values[CONCEPTS.index(concept)])


@pytest.mark.parametrize("name", ALL)
def test_orderings_are_permutations_that_depend_on_the_order_alone(name: str) -> None:
    for order in range(5):
        assert sorted(order_of(name, order)) == sorted(CONCEPTS)
        assert order_of(name, order) == order_of(name, order)
    if forward(name) in DRAWN:
        assert len({order_of(name, order) for order in range(5)}) == 5


@pytest.mark.parametrize("name", ORDERINGS)
def test_reversed_is_reversed(name: str) -> None:
    assert order_of(f"reversed_{name}", 3) == order_of(name, 3)[::-1]


def test_random_is_uniform() -> None:
    first = [order_of("random", order)[0] for order in range(400)]
    counts = [first.count(concept) for concept in CONCEPTS]
    assert min(counts) > 0
    assert max(counts) < 30


def test_easy_to_hard_has_rising_losses() -> None:
    assert len({order_of("easy_to_hard", order) for order in range(5)}) == 1
    losses = list(map(by("loss"), order_of("easy_to_hard")))
    assert losses == sorted(losses)


def test_frequency_has_rising_counts_and_shuffles_equals() -> None:
    counts = list(map(by("count"), order_of("frequency")))
    assert counts == sorted(counts)
    assert order_of("frequency", 1)[:8] != order_of("frequency", 2)[:8]


def test_similarity_walks_along_a_curve() -> None:
    """On an arc the shortest path from one of its ends goes through all points in their order."""
    place = {concept: float(np.arctan2(*facts("text")[i][::-1])) for i, concept in enumerate(CONCEPTS)}
    start = min(place, key=lambda concept: place[concept])
    path = [place[concept] for concept in order_of("similarity", start_concept=start)]
    assert path == sorted(path)
    assert order_of("similarity", start_concept=start, embedding="image")[0] == start


def test_time_goes_through_the_years_data_set_by_data_set() -> None:
    for order in range(8):
        years = list(map(by("year"), order_of("time", order)))
        assert years == sorted(years)
        assert len([name for name, _ in groupby(order_of("time", order), key=lambda c: c[0])]) == len(DATASETS)
    assert {order_of("time", order)[0][0] for order in range(8)} == {"b", "c"}  # of one year, in a shuffled order


def test_time_mixed_mixes_the_data_sets_of_a_year() -> None:
    found = order_of("time_mixed")
    years = list(map(by("year"), found))
    assert years == sorted(years)
    assert sum(a[0] != b[0] for a, b in pairwise(found[:20])) > 4
    assert {concept[0] for concept in found[20:30]} == {"d"}


def test_dataset_brings_one_after_another() -> None:
    runs = [name for name, _ in groupby(order_of("dataset"), key=lambda concept: concept[0])]
    assert sorted(runs) == sorted(DATASETS)


@pytest.mark.parametrize("name", ALL)
def test_a_stream_of_one_data_set_has_its_concepts_alone_in_their_own_order(name: str) -> None:
    own = [concept for concept in CONCEPTS if concept[0] == "b"]
    assert sorted(order_of(name, 3, dataset="b")) == own
    if forward(name) == "easy_to_hard":  # by facts alone, so that others make no difference
        assert order_of(name, dataset="b") == tuple(one for one in order_of(name) if one in own)


def test_similarity_starts_within_the_data_set() -> None:
    assert {order_of("similarity", order, dataset="b")[0] for order in range(10)} == {f"b/{i}" for i in range(10)}
    assert order_of("similarity", dataset="b", start_concept="b/7")[0] == "b/7"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"ordering": "random", "dataset": "data"},
            "dataset: 'data' is no data set of the stream; allowed: a, b, c, d",
        ),
        (
            {"ordering": "time", "dataset": "B"},
            r"'B' is no data set of the stream; did you mean b\? allowed: a, b, c, d",
        ),
        (
            {"ordering": "similarity", "dataset": "b", "start_concept": "a/1"},
            "'a/1' is no concept of the stream; such as b/0, b/1",
        ),
        ({"ordering": "similarity", "start_concept": "zz"}, "'zz' is no concept of the stream; such as a/0, a/1"),
        ({"ordering": "random", "start_concept": "a/1"}, "start_concept: the ordering random has none"),
        ({"ordering": "time", "embedding": "text"}, "embedding: the ordering time has none"),
    ],
)
def test_wrong_settings_are_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        order_of(**given)


def test_data_that_lack_a_fact_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs the year of all concepts, which this workload lacks"):
        ordered(Stream(ordering="time"), 0, concepts=toys.IDENTITY.concepts, facts=toys.IDENTITY.facts)


@pytest.mark.parametrize("name", ORDERINGS)
def test_pocket_has_every_ordering(name: str) -> None:
    identity = identify(Pocket(pool=512))
    found = ordered(Stream.model_validate({"ordering": name}), 0, concepts=identity.concepts, facts=identity.facts)
    assert sorted(found) == sorted(identity.concepts)
    switches = sum(a.partition("/")[0] != b.partition("/")[0] for a, b in pairwise(found))
    assert switches == 15 if name in ("time", "dataset") else switches < (120 if name == "similarity" else 198)


def test_facts_of_a_workload_are_those_of_its_base_model() -> None:
    """Against the model's own outputs, concept by concept."""
    workload = toys.workload()
    model: Any = workload.architecture().eval()
    model.load_state_dict(workload.base())
    corpus = toys.corpus()
    test = corpus.suite[0]
    assert isinstance(test, Classification)
    with torch.no_grad():
        texts = F.normalize(model.encode_text(torch.tensor(test.prompts[:, 0]).long()), dim=-1)
        segment = corpus.segments[0]
        pixels = (torch.tensor(np.asarray(segment.images)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        images = F.normalize(model.encode_image(pixels), dim=-1)
        losses = F.cross_entropy(
            model.logit_scale.exp() * images @ texts.T, torch.tensor(segment.concept).long(), reduction="none"
        )
    for i in range(len(segment.concepts)):
        here = segment.concept == i
        assert workload.facts("loss")[i] == pytest.approx(float(losses[here].mean()), abs=1e-5)
        mean = F.normalize(images[here].mean(dim=0), dim=0)
        assert workload.facts("image")[i] == pytest.approx(mean.numpy(), abs=1e-5)
    assert workload.facts("text") == pytest.approx(texts.numpy(), abs=1e-5)
