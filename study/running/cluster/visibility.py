"""What a node has to see of a study: its store, its files, and the libraries that it is computed with.

The driver leaves a note in the store; who can read it there sees the same store, and not a folder of the same name.
"""

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from study.running.cluster.nodes import Node
from trainables.frozen import ConfigError
from trainables.store.opening import open_store
from trainables.store.store import Store, StoreError

_SECONDS = 120
"""How long nodes may take to look; each starts a process for it, which then waits for trials."""

_PATIENCE_SECONDS = 120.0
"""How long a worker waits for what its node lacks."""

_NUMERIC = ("torch", "numpy", "open_clip_torch", "timm", "transformers", "peft")
"""Libraries whose versions may show in the numbers."""


@dataclass(frozen=True, kw_only=True)
class WorkerNeeds:
    """What a worker needs of a study: the store's location, files, and the name of the note that the store holds.

    Without a note nothing is looked for: workers of one machine see what the driver sees.
    """

    store: str
    files: tuple[str, ...] = ()
    note: str | None = None

    def missing_after(self, *, patience: float = _PATIENCE_SECONDS) -> list[str]:
        """What this process still cannot see after a while; on a node that has just begun, files may come late.

        A node that failed at once would always have room, and take trial after trial from those that see all.
        """
        end = time.monotonic() + patience
        while (lacks := self.missing_now()) and time.monotonic() < end:
            time.sleep(min(5.0, patience / 10))
        return lacks

    def missing_now(self) -> list[str]:
        """What this process cannot see, in sentences."""
        if self.note is None:
            return []
        lacks = [f"has no file {file}" for file in self.files if not Path(file).exists()]
        try:
            if open_store(self.store).read_note(self.note) is None:
                lacks.append(f"does not see the store, {self.store}")
        except (ConfigError, StoreError) as error:
            lacks.append(f"cannot read the store: {error}")
        return lacks


@contextlib.contextmanager
def marked(store: Store, needs: WorkerNeeds) -> Iterator[WorkerNeeds]:
    """Put a note into a study's store for a while, and yield the needs with the name of the note."""
    note = f"sight/{secrets.token_hex(16)}"
    store.write_note(note, b"")
    try:
        yield WorkerNeeds(store=needs.store, files=needs.files, note=note)
    finally:
        with contextlib.suppress(StoreError):
            store.delete_note(note)


def missing_on(nodes: Iterable[Node], needs: WorkerNeeds, tell: Callable[[str], None]) -> dict[str, list[str]]:
    """Ask every other node what it lacks of what a study needs.

    Args:
        nodes: of the cluster.
        needs: of the study, with a note.
        tell: takes warnings: nodes that do not answer, and libraries of other versions than here.

    Returns:
        The names of the nodes that lack something, by what they lack, in words.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ours = _versions(_required())
    look = ray.remote(num_cpus=0)(_missing_here)
    looks = {}
    for node in nodes:
        if not node.here:
            there = NodeAffinitySchedulingStrategy(node.id, soft=False)
            looks[look.options(scheduling_strategy=there).remote(needs, tuple(ours))] = node.name
    ready, late = ray.wait(list(looks), num_returns=len(looks), timeout=_SECONDS) if looks else ([], [])
    lacks: dict[str, list[str]] = {}
    for answer in ready:
        name = looks[answer]
        try:
            lacking, theirs = ray.get(answer)
        except Exception as error:  # the node is gone, or nothing of ours can be imported on it
            lacking, theirs = [f"cannot look: {str(error).strip().splitlines()[-1]}"], {}
        for one in lacking:
            lacks.setdefault(one, []).append(name)
        for library in _NUMERIC:
            if theirs.get(library) and theirs[library] != ours[library]:
                tell(f"node {name} has {library} {theirs[library]}, this one {ours[library]}: numbers may differ")
    for answer in late:
        tell(f"node {looks[answer]} did not answer within {_SECONDS} s; its trials may fail or wait")
    return lacks


def _missing_here(needs: WorkerNeeds, libraries: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """What the node of this process lacks, and the versions of its libraries; "" where one is absent."""
    versions = _versions(libraries)
    absent = sorted(name for name, version in versions.items() if not version)
    return [*([f"has no {', '.join(absent)}"] if absent else []), *needs.missing_now()], versions


def _required() -> list[str]:
    """Libraries that retune itself requires, without those of extras."""
    required = metadata.requires("retune") or []
    return [re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in required if "extra ==" not in one]


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found
