"""What the nodes of a cluster can give to trials: how many fit at once, and whether each fits at all.

A trial is on one node, so nodes are asked one by one: two halves of a trial's memory on two nodes are of no use.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from study.definition.resources import Bundle, in_words
from trainables.machine.processes import usable_cpus

_ALMOST = 1e-9
"""Shares such as 0.1 and 0.3 are no exact binary fractions."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A live node with its whole resources, free or held; `here` marks the node of this process."""

    id: str
    name: str
    total: Mapping[str, float]
    here: bool = False

    def fits(self, bundle: Bundle) -> int:
        """How many trials of a bundle the node holds at once."""
        return int(min(self.total.get(name, 0.0) / amount + _ALMOST for name, amount in bundle.items()))


def nodes() -> tuple[Node, ...]:
    """The nodes of the cluster that this process is connected to."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return tuple(
        Node(
            id=row["NodeID"],
            name=f"{row['NodeManagerHostname']} ({row['NodeManagerAddress']})",
            total=row["Resources"],
            here=row["NodeID"] == here,
        )
        for row in ray.nodes()
        if row["Alive"]
    )


def this_machine() -> Node:
    """This machine as a node, found without Ray."""
    import psutil
    import torch

    total = {"CPU": usable_cpus(), "GPU": torch.cuda.device_count(), "memory": psutil.virtual_memory().total}
    return Node(id="", name="this machine", total=total, here=True)


def slots(bundles: Iterable[Bundle], given: Iterable[Node]) -> int:
    """How many trials fit on the nodes at once, counted with the bundle of which the most fit."""
    given = tuple(given)
    return max(sum(node.fits(bundle) for node in given) for bundle in bundles)


def grows() -> bool:
    """Whether an autoscaler may add nodes to the cluster, which shows in kinds of nodes that have names.

    A cluster without has an autoscaler, too, which only watches, and to which every node is of its own kind.
    """
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.autoscaler.v2.sdk import get_cluster_status
    from ray.experimental.internal_kv import _internal_kv_get

    said = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}")
    kinds = set((said.get("autoscaler_report") or {}).get("active_nodes") or ())
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    if int(status.stats.autoscaler_version or 0):  # the second version of the autoscaler has reported
        kinds |= {node.ray_node_type_name for node in (*status.active_nodes, *status.idle_nodes)}
    return any(not _OF_ITS_OWN.fullmatch(kind) for kind in kinds)


_OF_ITS_OWN = re.compile("node_[0-9a-f]{56}")


def unfit(bundles: Mapping[str, Bundle], given: Iterable[Node]) -> str | None:
    """The reason why the trials of some method fit on no node, even an empty one; None if all methods fit.

    Args:
        bundles: what trials ask, by their method.
        given: nodes of the cluster.
    """
    given = tuple(given)
    for method, bundle in bundles.items():
        if not any(node.fits(bundle) for node in given):
            scarce = min(bundle, key=lambda name: max(node.total.get(name, 0.0) for node in given) / bundle[name])
            largest = max(given, key=lambda node: node.total.get(scarce, 0.0))
            return (
                f"a trial of method {method} asks for {in_words(bundle)}, and no node has that; the one with the most, "
                f"{largest.name}, has {in_words({name: largest.total.get(name, 0.0) for name in bundle})}"
            )
    return None
