"""Methods as values: named rows are parts, one value has one form, and what does not compose is refused."""

import json
import re

import pytest
from pydantic import ValidationError

from trainables.methods.method import COMPOSED, METHODS, Method, hyperparameters, named
from trainables.methods.parts import Galore, LowRank


@pytest.mark.parametrize("name", METHODS)
class TestEveryRow:
    def test_its_name_is_derived_from_its_parts(self, name: str) -> None:
        assert named(name).name == name

    def test_flat_and_canonical_forms_come_back(self, name: str) -> None:
        method = named(name)
        assert Method.model_validate(method.flat()) == method
        assert Method.model_validate(json.loads(json.dumps(method.canonical()))) == method
        assert hash(Method.model_validate(method.flat())) == hash(method)

    def test_hyperparameters_are_what_the_flat_form_holds(self, name: str) -> None:
        assert set(named(name).flat()) == {"name", *hyperparameters(name)}
        assert all(info.description for info in hyperparameters(name).values())

    def test_it_has_a_source(self, name: str) -> None:
        assert re.fullmatch(r"\d{4}\.\d{5}", METHODS[name].source)


def test_reference_defaults() -> None:
    """As arXiv 2408.14471: the temperature trains with all else or a locked image tower, not beside adapters."""
    frozen = {name for name in METHODS if not named(name).logit_scale}
    adapters = {name for name, row in METHODS.items() if row.group == "adapter"}
    assert frozen == {"zeroshot", "lnfit", "bitfit", "locked_text"} | adapters
    assert named("galore").projection == Galore(name="galore", rank=8, gap=200, scale=2.0, side="std")
    lora = named("lora").adapter
    assert isinstance(lora, LowRank)
    assert (lora.rank, lora.alpha, lora.targets, lora.towers, lora.layers) == (4, 4.0, "all", "all", "all")


def test_penalty_and_projection_compose_with_other_methods() -> None:
    assert named("full", penalty="ewc", strength=2.0) == named("ewc", strength=2.0)
    assert named("full", projection="galore") == named("galore")
    both = named("locked_image", penalty="si", projection="galore", rank=2)
    assert both.name == "locked_image"
    assert both.flat() | {"penalty": "si", "projection": "galore", "rank": 2} == both.flat()
    assert Method.model_validate(both.flat()) == both
    assert named("full", penalty="none") == named("full") == named("full", penalty=None)
    assert named("galore", penalty="l2init").flat()["penalty"] == "l2init"


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "name": ({"name": "lorra"}, "name: 'lorra' is unknown; did you mean lora? allowed: full, zeroshot, "),
    "hyperparameter": (
        {"name": "full", "rank": 3},
        "rank: unknown for full; allowed: logit_scale, penalty, projection",
    ),
    "negative strength": ({"name": "si", "strength": -0.1}, "greater than or equal to 0"),
    "rank 0": ({"name": "galore", "rank": 0}, "greater than or equal to 1"),
    "side": ({"name": "galore", "side": "up"}, "'std', 'reverse_std', 'left', 'right' or 'full'"),
    "target": (
        {"name": "ia3", "targets": "w"},
        "there is no target 'w'; allowed: all, attention, mlp, q, k, v, out, mlp_in",
    ),
    "layers": ({"name": "lora", "layers": "2-1"}, "'2-1' names no blocks; allowed: all, or numbers from 0 and ranges"),
    "layer": ({"name": "lora", "layers": "-1"}, "'-1' names no blocks"),
    "n": ({"name": "freeze_first_layers", "n": 0}, "greater than or equal to 1"),
    "penalty": ({"name": "full", "penalty": "l1"}, "penalty: 'l1' is unknown; allowed: none, ewc, si, l2init"),
    "second penalty": ({"name": "ewc", "penalty": "si"}, "penalty: 'si' given, but ewc is a penalty itself"),
    "projection of an adapter": ({"name": "lora", "projection": "galore"}, "an adapter freezes these"),
    "penalty of nothing": ({"name": "zeroshot", "penalty": "ewc"}, "zeroshot trains nothing"),
    "arguments": ({"name": "peft", "arguments": "{"}, "not JSON"),
}


@pytest.mark.parametrize("name", WRONG)
def test_error_says_what_is_allowed(name: str) -> None:
    value, message = WRONG[name]
    with pytest.raises(ValidationError) as caught:
        Method.model_validate(value)
    assert message in str(caught.value)


def test_parts_that_no_method_has_together() -> None:
    with pytest.raises(ValidationError, match="no method trains parameters of the model beside an adapter"):
        Method.model_validate({"trains": {"train": "norms"}, "adapter": {"name": "lora"}})


def test_composed_names_are_rows() -> None:
    assert {name for names in COMPOSED.values() for name in names} <= METHODS.keys()
