"""How many trials fit on nodes: node by node, in shares that are no exact numbers, by what is scarce."""

from study.running.cluster.nodes import Node, slots, unfit

_GB = 1e9


def _node(name: str, **total: float) -> Node:
    return Node(id=name, name=name, total=total)


def test_trials_fit_node_by_node_and_not_into_what_nodes_have_together() -> None:
    halves = [_node("a", CPU=4, GPU=1, memory=10 * _GB), _node("b", CPU=4, GPU=1, memory=10 * _GB)]
    assert slots([{"CPU": 1, "GPU": 1}], halves) == 2
    assert slots([{"CPU": 1, "GPU": 2}], halves) == 0
    assert slots([{"CPU": 1, "memory": 6 * _GB}], halves) == 2
    assert slots([{"CPU": 1, "memory": 12 * _GB}], halves) == 0


def test_shares_of_a_gpu_fill_it() -> None:
    node = _node("a", CPU=64, GPU=0.9)
    assert slots([{"CPU": 1, "GPU": 0.3}], [node]) == 3
    assert slots([{"CPU": 1, "GPU": 0.1}], [node]) == 9


def test_the_slots_of_a_study_are_those_of_the_method_that_asks_least() -> None:
    node = _node("a", CPU=8, GPU=2)
    assert slots([{"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 0.25}], [node]) == 8


def test_what_no_node_can_give_is_told_with_the_node_that_has_the_most_of_it() -> None:
    nodes = [_node("small", CPU=64, GPU=1), _node("large", CPU=8, GPU=4), _node("head", CPU=2)]
    bundles: dict[str, dict[str, float]] = {"lora": {"CPU": 1, "GPU": 0.5}, "full": {"CPU": 4, "GPU": 8}}
    assert unfit({"lora": bundles["lora"]}, nodes) is None
    said = unfit(bundles, nodes)
    assert said is not None
    assert "method full asks for 4 CPUs, 8 GPUs" in said
    assert "large, has 8 CPUs, 4 GPUs" in said


def test_a_resource_that_nobody_has_and_no_node_at_all() -> None:
    said = unfit({"full": {"CPU": 1, "a100": 1}}, [_node("a", CPU=8)])
    assert said is not None
    assert "0 a100" in said
    assert slots([{"CPU": 1}], []) == 0
