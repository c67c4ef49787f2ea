"""Models of open_clip by name, as workloads without weights or data, for budgets."""

from typing import NoReturn

from trainables.workloads.clip import architectures
from trainables.workloads.clip.models import inspect, loss_of
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity


def without_data(name: str) -> ClipWorkload:
    """The workload of a model by name; only its architecture can be used, and all else raises.

    Raises:
        ConfigError: open_clip has no such model, or it cannot be used; why.
    """
    architecture = architectures.find(name)
    described = inspect(architecture)
    return ClipWorkload(
        identity=Identity(
            base=name, data="", suite="", concepts=(), tests=(), pool_samples=0, anatomy=described.anatomy
        ),
        architecture=architectures.Maker(architecture),
        base=_none,
        corpus=_none,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        model_config=architecture.config,
        tokenizer_files=dict,
        loss=loss_of(architecture),
    )


def _none() -> NoReturn:
    raise NotImplementedError("a model by name has neither weights nor data")
