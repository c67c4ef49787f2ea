"""Parts of methods: settings have one form, and the tables of parts have each part under the names that it says."""

import pytest

from trainables.methods.method import METHODS, named
from trainables.methods.parts import (
    ADAPTERS,
    LOW_RANK,
    PENALTIES,
    PROJECTIONS,
    Ewc,
    Galore,
    L2Init,
    LowRank,
    Peft,
    Si,
    described,
)


def test_every_part_is_under_its_own_name_and_has_a_method_of_that_name() -> None:
    assert {"ewc": Ewc, "si": Si, "l2init": L2Init}.items() <= PENALTIES.items()
    assert {"galore": Galore}.items() <= PROJECTIONS.items()
    assert [name for name, kind in ADAPTERS.items() if kind is LowRank] == list(LOW_RANK)
    for place, table in (("adapter", ADAPTERS), ("penalty", PENALTIES), ("projection", PROJECTIONS)):
        assert {name for name, row in METHODS.items() if row.part == place} == table.keys()
        for name, kind in table.items():
            assert isinstance(getattr(named(name), place), kind)
            assert named(name).name == name
            assert METHODS[name].source == described(name, kind).source


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("v+q", "q+v"),
        ("attention", "q+k+v+out"),
        ("attention+mlp", "all"),
        ("all", "all"),
        ("mlp+v", "v+mlp_in+mlp_out"),
    ],
)
def test_targets_have_one_form(given: str, canonical: str) -> None:
    assert named("lora", targets=given) == named("lora", targets=canonical)
    assert named("lora", targets=given).flat()["targets"] == canonical


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("2+0+1", "0-2"), ("0-2", "0-2"), ("5+1-2", "1-2+5"), ("3", "3"), ("all", "all"), ("1-1", "1")],
)
def test_layers_have_one_form(given: str, canonical: str) -> None:
    assert named("lora", layers=given).flat()["layers"] == canonical


def test_towers_and_peft_have_one_form() -> None:
    assert named("lora", towers="text+image") == named("lora", towers="image+text")
    one, other = (
        named("peft", peft_type=kind, arguments=a)
        for kind, a in (("boft", '{"b":1,"a":2}'), ("BOFT", {"a": 2, "b": 1}))
    )
    assert one == other
    assert isinstance(one.adapter, Peft)
    assert one.adapter.peft_type == "BOFT"


def test_alpha_follows_the_rank_unless_it_is_given() -> None:
    assert named("lora", rank=16).flat()["alpha"] == 16.0
    assert named("lora", rank=16, alpha=1.0).flat()["alpha"] == 1.0


@pytest.mark.parametrize(
    ("samples", "batch_size", "steps", "batches"), [(50_000, 512, 1420, 98), (50_000, 512, 14, 14), (100, 33, 50, 4)]
)
def test_batches_of_the_fisher_matrix(samples: int, batch_size: int, steps: int, batches: int) -> None:
    """98 of 512 are the reference's; a task of 14 steps looks at no more than it trained on."""
    assert Ewc(name="ewc", fisher_samples=samples).extra_batches(batch_size=batch_size, steps=steps) == batches
