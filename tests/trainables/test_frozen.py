"""The canonical form as text: that of the JSON values, found once, and never passed on to a value that differs."""

import copy
import json
import pickle

import pytest

from search_spaces.space import Scalar
from tests.trainables.test_keys import AXES
from tests.trainables.toys import trial
from trainables.config import Optimiser
from trainables.frozen import digest


def written(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@pytest.mark.parametrize("axes", [axes for family in AXES.values() for axes in family][::7], ids=str)
def test_text_is_the_canonical_form(axes: dict[str, Scalar]) -> None:
    config = trial(**axes)
    assert config.text == written(config.canonical())
    assert digest({"a": config, "b": [1, None]}) == digest({"b": [1, None], "a": config.canonical()})


def test_copies_have_a_text_of_their_own() -> None:
    config = trial()
    assert config.text
    other = config.model_copy(update={"seed": 7})
    assert other.text == written(other.canonical()) != config.text
    assert config.model_copy().text == config.text
    assert copy.deepcopy(config).text == config.text


def test_a_text_that_was_found_is_seen_by_nobody() -> None:
    new, used = trial(), trial()
    assert used.text
    assert (used, hash(used), repr(used), list(used)) == (new, hash(new), repr(new), list(new))
    assert pickle.dumps(used) == pickle.dumps(new)


def test_values_that_are_equal_and_written_differently_have_names_of_their_own() -> None:
    plus, minus = Optimiser(weight_decay=0.0), Optimiser(weight_decay=-0.0)
    assert plus == minus
    assert [digest(one) for one in (plus, minus, plus)] == [digest(one.canonical()) for one in (plus, minus, plus)]
    assert digest(plus) != digest(minus)


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, {"a": [trial()]}, {"a": {1, 2}}])
def test_what_is_no_json_has_no_digest(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        digest(value)
