"""Scope: what trains and what is adapted follows from what a workload declares, and no CLIP is needed."""

import pytest

from trainables.frozen import ConfigError
from trainables.methods.method import METHODS, Method, named
from trainables.methods.parts import Selection
from trainables.methods.scope import adapted, check, trained
from trainables.workloads.anatomy import Anatomy, Parameter, Projection
from trainables.workloads.catalogue import identify
from trainables.workloads.pocket.settings import Pocket

POCKET = identify(Pocket()).anatomy


def language_model(layers: int = 3) -> Anatomy:
    """A causal language model's parts, as another workload would declare them: one tower, no logit scale."""
    parameters, projections = [], []

    def add(name: str, shape: tuple[int, ...], part: str, layer: int | None = None) -> None:
        bias = name.endswith("bias")
        parameters.append(Parameter(name=name, shape=shape, tower="text", layer=layer, part=part, bias=bias))  # type: ignore[arg-type]

    add("embed.weight", (50, 16), "embedding")
    for i in range(layers):
        for target, part, (rows, columns) in (("q", "attention", (16, 16)), ("mlp_in", "mlp", (32, 16))):
            name = f"layers.{i}.{target}"
            add(f"{name}.weight", (rows, columns), part, i)
            add(f"{name}.bias", (rows,), part, i)
            projections.append(
                Projection(
                    name=name,
                    parameter=f"{name}.weight",
                    tower="text",
                    layer=i,
                    target=target,  # type: ignore[arg-type]
                    inputs=columns,
                    outputs=rows,
                )
            )
        add(f"layers.{i}.norm.weight", (16,), "norm", i)
    add("head.weight", (50, 16), "head")
    return Anatomy(parameters=tuple(parameters), projections=tuple(projections))


MODEL = language_model()


def test_selections_of_a_language_model() -> None:
    everything = {p.name for p in MODEL.parameters}
    assert trained(named("full"), MODEL) == everything
    assert trained(named("zeroshot"), MODEL) == set()
    assert trained(named("lnfit"), MODEL) == {f"layers.{i}.norm.weight" for i in range(3)}
    assert trained(named("bitfit"), MODEL) == {name for name in everything if name.endswith("bias")}
    assert trained(named("freeze_attention"), MODEL) == {name for name in everything if ".q." not in name}
    assert trained(named("freeze_mlp"), MODEL) == {name for name in everything if ".mlp_in." not in name}
    first = {name for name in everything if not name.startswith(("layers.0.", "layers.1."))}
    assert trained(named("freeze_first_layers", n=2), MODEL) == first
    last = {name for name in everything if not name.startswith("layers.2.")}
    assert trained(named("freeze_last_layers"), MODEL) == last
    assert trained(named("lora"), MODEL) == set()


def test_selections_of_a_clip() -> None:
    everything = {p.name for p in POCKET.parameters}
    image = {name for name in everything if name.startswith("visual.")}
    assert trained(named("locked_image"), POCKET) == everything - image
    assert trained(named("locked_text"), POCKET) == image
    assert trained(named("locked_text", logit_scale=True), POCKET) == image | {"logit_scale"}
    assert trained(named("full", logit_scale=False), POCKET) == everything - {"logit_scale"}
    assert trained(named("lora", logit_scale=True), POCKET) == {"logit_scale"}
    norms = trained(named("lnfit"), POCKET)
    assert norms == {name for name in everything if ".ln_" in name or name.startswith("ln_")}
    assert trained(named("bitfit"), POCKET) == {name for name in everything if "bias" in name}
    by_depth = trained(named("freeze_last_layers"), POCKET)  # three image blocks, two text blocks
    frozen = everything - by_depth
    assert frozen == {
        n for n in everything if n.startswith(("visual.transformer.resblocks.2.", "transformer.resblocks.1."))
    }


@pytest.mark.parametrize("kind", ["attention", "biases", "embeddings", "heads", "mlp", "norms"])
@pytest.mark.parametrize("anatomy", [MODEL, POCKET], ids=["language model", "pocket"])
def test_a_kind_of_parameters_alone_and_all_but_it_are_the_whole(anatomy: Anatomy, kind: str) -> None:
    """Words that no named method uses yet, too; the temperature is said apart."""
    alone, others = (
        trained(Method.model_construct(trains=Selection.model_validate({"train": train}), logit_scale=False), anatomy)
        for train in (kind, f"all_but_{kind}")
    )
    assert alone
    assert not alone & others
    assert alone | others == trained(named("full", logit_scale=False), anatomy)


def test_embeddings_and_heads() -> None:
    def alone(train: str) -> frozenset[str]:
        return trained(Method.model_construct(trains=Selection.model_validate({"train": train})), MODEL)

    assert alone("embeddings") == {"embed.weight"}
    assert alone("heads") == {"head.weight"}


def test_scope_of_an_adapter() -> None:
    def names(**scope: object) -> set[str]:
        adapter = named("lora", **scope).adapter
        assert adapter is not None
        return {projection.name for projection in adapted(adapter, POCKET)}

    assert len(names()) == 6 * (3 + 2)
    assert names(towers="text") == {name for name in names() if not name.startswith("visual.")}
    assert names(layers="0") == {name for name in names() if ".resblocks.0." in name}
    assert names(targets="q+v") == {name for name in names() if name.endswith(("q_proj", "v_proj"))}
    assert names(targets="mlp_out", towers="image", layers="1-2") == {
        f"visual.transformer.resblocks.{i}.mlp.c_proj" for i in (1, 2)
    }


@pytest.mark.parametrize("name", METHODS)
def test_defaults_fit_the_pocket_model(name: str) -> None:
    check(named(name), POCKET)


WRONG: dict[str, tuple[dict[str, object], Anatomy, str]] = {
    "rank above the width": ({"name": "lora", "rank": 65}, POCKET, "rank: 65 given; allowed: 1 to 64"),
    "rank of GaLore": ({"name": "galore", "rank": 97}, POCKET, "rank: 97 given; allowed: 1 to 96"),
    "layers": (
        {"name": "lora", "layers": "0-2"},
        POCKET,
        "layers: there is no block 2; allowed: 0 to 1 (image has 3, text has 2",
    ),
    "tower": (
        {"name": "lora", "towers": "audio"},
        POCKET,
        "towers: there is no tower 'audio'; allowed: all, image, text",
    ),
    "target": ({"name": "lora", "targets": "k"}, MODEL, "targets: the model has no 'k'; allowed: all, mlp_in, q"),
    "locked tower": (
        {"name": "locked_image"},
        MODEL,
        "method locked_image: it locks the image tower, and the model has text",
    ),
    "n": (
        {"name": "freeze_first_layers", "n": 3},
        POCKET,
        "n: 3 given; allowed: 1 to 2, the blocks of the shallowest tower",
    ),
    "nothing to project": (
        {"name": "lnfit", "projection": "galore"},
        POCKET,
        "projection: galore projects 2-D weights, and none of these trains with this method",
    ),
    "block of OFT": ({"name": "oft", "block_size": 7}, POCKET, "block_size: 7 given"),
    "frequencies": ({"name": "fourierft", "frequencies": 10_000_000}, POCKET, "frequencies: 10000000 given"),
    "peft": ({"name": "peft", "peft_type": "NOPE"}, POCKET, "peft_type: 'NOPE'"),
    "argument of peft": ({"name": "peft", "peft_type": "HRA", "arguments": {"nope": 1}}, POCKET, "arguments: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_model_lacks_is_refused(case: str) -> None:
    value, anatomy, message = WRONG[case]
    method = named(str(value["name"]), **{k: v for k, v in value.items() if k != "name"})
    with pytest.raises(ConfigError) as caught:
        check(method, anatomy)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
