"""The canonical form as text: that of the JSON values, found once, and never passed on to a value that differs."""

import copy
import json
import pickle
from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, model_validator

from search_spaces.space import Scalar
from tests.trainables.golden_keys import SETTINGS
from tests.trainables.toys import trial
from trainables.frozen import ConfigError, FieldError, Frozen, OneOf, digest, parse
from trainables.methods.parts import Optimiser


def written(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def named(value: object) -> object:
    """What enters names, as JSON values."""
    if isinstance(value, Frozen):
        return {name: named(one) for name, one in value.named_by().items()}
    return [named(one) for one in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("axes", list(SETTINGS.values()), ids=str)
def test_text_is_the_canonical_form(axes: dict[str, Scalar]) -> None:
    config = trial(**axes)
    assert config.text == written(named(config))
    assert digest({"a": config, "b": [1, None]}) == digest({"b": [1, None], "a": named(config)})


def test_copies_have_a_text_of_their_own() -> None:
    config = trial()
    assert config.text
    other = config.model_copy(update={"seed": 7})
    assert other.text == written(named(other)) != config.text
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


class _Part(Frozen):
    low: int
    high: int = Field(default=9, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise FieldError("low", f"{self.low} given, above high")
        return self


class _Document(Frozen):
    part: _Part


@pytest.mark.parametrize(
    ("value", "places", "as_written", "as_named"),
    [
        ({"part": {"low": 10}}, [("part", "low")], "f: part: low: 10 given, above high", "f/low of part: 10 given, "),
        ({"part": {"low": "x"}}, [("part", "low")], "f: part.low: 'x' given; allowed: a valid", "f/low of part: 'x' "),
        ({"part": {"low": 1, "x": 1}}, [("part", "x")], "f: part.x: unknown key; ", "f/x of part: unknown key; "),
        ({"part": {}}, [("part", "low")], "f: part.low: missing; ", "f/low of part: missing; "),
        (3, [()], "f: the whole document: 3 given; ", "f/all: 3 given; "),
    ],
)
def test_an_error_names_its_place_as_the_user_does(
    value: object, places: list[tuple[str, ...]], as_written: str, as_named: str
) -> None:
    asked: list[tuple[str, ...]] = []

    def named(keys: tuple[str, ...]) -> str:
        asked.append(keys)
        return f"/{' of '.join(reversed(keys)) or 'all'}"

    with pytest.raises(ConfigError) as caught:
        parse(_Document, value, source="f")
    assert str(caught.value).startswith(as_written)
    with pytest.raises(ConfigError) as caught:
        parse(_Document, value, source="f", named=named)
    assert str(caught.value).startswith(as_named)
    assert asked == places


def test_an_error_of_a_field_can_be_sent_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(FieldError("a.b", "3 given")))
    assert (str(error), error.keys, error.message) == ("a.b: 3 given", ("a", "b"), "3 given")


_COLOURS = {"red": 1, "green": 2, "blue": 3, "yellow": 4, "black": 5}


class _Coloured(Frozen):
    colour: Annotated[str, OneOf(_COLOURS)] = "red"
    other: Annotated[str, OneOf(_COLOURS)] | None = None
    literal: Literal["red", "green", "blue", "yellow", "black"] = "red"


@pytest.mark.parametrize("value", ["blu", "x", 3, None, ["red"], {"a": 1}])
def test_names_of_a_table_are_checked_and_said_as_literals_are(value: object) -> None:
    said = []
    for key in ("literal", "colour"):
        with pytest.raises(ConfigError) as caught:
            parse(_Coloured, {key: value}, source="f")
        said.append(str(caught.value).replace(f"f: {key}: ", ""))
    assert said[0] == said[1]
    assert said[0].endswith("allowed: 'red', 'green', 'blue', 'yellow' or 'black'")
    assert ("did you mean blue? " in said[0]) == (value == "blu")
    schema = _Coloured.model_json_schema()["properties"]
    assert schema["colour"] == {**schema["literal"], "title": "Colour"}


def test_a_new_row_of_a_table_is_a_value_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="'white' given"):
        parse(_Coloured, {"other": "white"}, source="f")
    monkeypatch.setitem(_COLOURS, "white", 6)
    found = parse(_Coloured, {"colour": "white", "other": "white"}, source="f")
    assert found.canonical() == {"colour": "white", "other": "white", "literal": "red"}
    assert parse(_Coloured, {"other": None}, source="f").other is None


class _Before(Frozen):
    lr: float = 0.1


class _Now(Frozen):
    later = frozenset({"crops"})
    lr: float = 0.1
    crops: str = "none"


def test_a_later_field_is_named_where_it_is_not_what_was_before() -> None:
    assert digest(_Now(lr=0.2)) == digest(_Before(lr=0.2)) == digest(_Now(lr=0.2, crops="none"))
    assert digest(_Now(crops="random")) != digest(_Now())
    assert _Now().canonical() == {"lr": 0.1, "crops": "none"}
