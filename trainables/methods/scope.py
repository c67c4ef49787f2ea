"""The scope of a method: the parameters of a declared anatomy that train, and the layers that have an adapter.

Pure functions of names, towers, layers and targets, so that a plan can refuse what a model does not have.
"""

from collections.abc import Mapping, Sequence

from trainables.frozen import ConfigError
from trainables.methods import adapter_limits
from trainables.methods.method import Method
from trainables.methods.parts import Galore, LayerSelection, Scope, Selection
from trainables.workloads.anatomy import Anatomy, Parameter, Part, Projection


def trained(method: Method, anatomy: Anatomy) -> frozenset[str]:
    """The names of the model's own parameters that train; an adapter's parameters are not among them."""
    return frozenset(
        parameter.name
        for parameter in anatomy.parameters
        if not parameter.fixed
        and (method.logit_scale if parameter.part == "scale" else _selects(method.trains, parameter, anatomy))
    )


def adapted(scope: Scope, anatomy: Anatomy) -> tuple[Projection, ...]:
    """The projections that have an adapter."""
    towers = anatomy.towers if scope.towers == "all" else scope.towers.split("+")
    layers = scope.layer_numbers
    return tuple(
        projection
        for projection in anatomy.projections
        if projection.tower in towers
        and projection.target in scope.target_names
        and (layers is None or projection.layer in layers)
    )


def check(method: Method, anatomy: Anatomy) -> None:
    """Refuse a method that the model cannot have.

    Raises:
        ConfigError: a tower, block or target that the model lacks, or a size above the layers' own.
    """
    try:
        _check(method, anatomy)
    except ConfigError as error:
        raise ConfigError(f"method {method.name}: {error}") from error


def refusal(method: Method, anatomy: Anatomy) -> str:
    """The reason why a model cannot have a method; empty where it can."""
    try:
        check(method, anatomy)
    except ConfigError as error:
        return str(error)
    return ""


def _check(method: Method, anatomy: Anatomy) -> None:
    if method.adapter is not None:
        _check_scope(method.adapter, anatomy)
        adapter_limits.check(method.adapter, adapted(method.adapter, anatomy))
    match method.trains:
        case Selection(train="all_but_image_tower" | "all_but_text_tower" as train):
            tower = train.removeprefix("all_but_").removesuffix("_tower")
            if tower not in anatomy.towers:
                raise ConfigError(f"it locks the {tower} tower, and the model has {_listed(anatomy.towers)}")
        case LayerSelection(n=n) if n > (most := min(anatomy.depth(tower) for tower in anatomy.towers)):
            if not most:
                raise ConfigError("it freezes blocks, and a tower of the model has none; take a method without n")
            raise ConfigError(f"n: {n} given; allowed: 1 to {most}, the blocks of the shallowest tower")
    if method.adapter is None and not method.trains_nothing and not trained(method, anatomy):
        raise ConfigError("the model has no parameter that trains by it; take another method, such as full")
    if isinstance(method.projection, Galore):
        names = trained(method, anatomy)
        sides = [min(p.shape) for p in anatomy.parameters if p.name in names and len(p.shape) == 2]
        if not sides:
            raise ConfigError("projection: galore projects 2-D weights, and none of these trains with this method")
        if method.projection.rank > max(sides):
            raise ConfigError(
                f"rank: {method.projection.rank} given; allowed: 1 to {max(sides)}, the smaller side of the largest "
                "weight, at which GaLore is AdamW"
            )


def _selects(trains: Selection | LayerSelection, parameter: Parameter, anatomy: Anatomy) -> bool:
    match trains:
        case LayerSelection(train="all_but_first_layers", n=n):
            return parameter.layer is None or parameter.layer >= n
        case LayerSelection(n=n):
            return parameter.layer is None or parameter.layer < anatomy.depth(str(parameter.tower)) - n
        case Selection(train="everything" | "nothing"):
            return trains.train == "everything"
        case Selection(train=train):
            kind = train.removeprefix("all_but_")
            return _belongs(parameter, kind) == (kind == train)


_PARTS: Mapping[str, Part] = {
    "attention": "attention",
    "embeddings": "embedding",
    "heads": "head",
    "mlp": "mlp",
    "norms": "norm",
}


def _belongs(parameter: Parameter, kind: str) -> bool:
    """Whether a parameter is one of the biases, of a tower, or of a part of the anatomy."""
    if kind == "biases":
        return parameter.bias
    if kind.endswith("_tower"):
        return parameter.tower == kind.removesuffix("_tower")
    return parameter.part == _PARTS[kind]


def _check_scope(scope: Scope, anatomy: Anatomy) -> None:
    towers = anatomy.towers if scope.towers == "all" else tuple(scope.towers.split("+"))
    for tower in towers:
        if tower not in anatomy.towers:
            raise ConfigError(f"towers: there is no tower {tower!r}; allowed: all, {_listed(anatomy.towers)}")
    depth = min(anatomy.depth(tower) for tower in towers)
    for layer in scope.layer_numbers or ():
        if layer >= depth:
            shown = ", ".join(f"{tower} has {anatomy.depth(tower)}" for tower in towers)
            raise ConfigError(f"layers: there is no block {layer}; allowed: 0 to {depth - 1} ({shown} blocks)")
    has = {tower: sorted({p.target for p in anatomy.projections if p.tower == tower}) for tower in anatomy.towers}
    asked = () if scope.targets == "all" else scope.target_names
    anywhere = sorted({target for tower in towers for target in has[tower]})
    for target in asked:
        if target not in anywhere:
            raise ConfigError(f"targets: the model has no {target!r}; allowed: all, {_listed(anywhere)}")
    for tower in towers:  # adapters of one tower alone are not what was asked for, so they must be asked for
        missing = [target for target in asked if target not in has[tower]]
        if missing or not has[tower]:
            able = "+".join(other for other in towers if has[other] and set(asked) <= set(has[other]))
            ways = [f"targets: all, {_listed(has[tower])}"] if has[tower] else []
            ways += [f"towers: {able}"] if able else []
            what = f" for {_listed(missing)}" if missing else ""
            raise ConfigError(
                f"targets: the {tower} tower has no linear layer of its own{what}; "
                f"allowed: {'; or '.join(ways) or 'methods without an adapter'}"
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
