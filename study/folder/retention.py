"""Retention: which updates of a store have to stay, for all studies that use it, and what may be freed.

Scores, records and costs always stay, so a trial that is done stays done; an update that is freed and needed later is
trained again, to the same bits. A study tells its store that it uses it, by a note under "studies/".

All of this is of one version of the numerics, that of this release. What other versions made is never freed unless it
is asked for by its version: this release cannot make it again, nor know what it is needed for.
"""

import contextlib
import itertools
import json
import math
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.definition.study import KEEPS, Keep, StudyDefinition
from study.folder.folder import Folder, is_held
from study.planning.plan import Known, Plan, PlannedTrial, make_plan
from study.results.reader import Results
from trainables.dependencies import needs_of
from trainables.frozen import ConfigError, parse
from trainables.lineages import Lineages
from trainables.nodes import NUMERICS_VERSION, UNMARKED_VERSION, Weights, version_of
from trainables.store.store import Store, canonical
from trainables.workloads.catalogue import identify

Ends = Mapping[str, Mapping[str, tuple[float, float]]]
"""AKA and AZS after the last task, by config and block."""


# -- what has to stay --------------------------------------------------------------------------------------------------


def must_stay(plan: Plan, definition: StudyDefinition, store: Store, have: Known) -> dict[Keep, frozenset[str]]:
    """Stored updates of a study that are not to be freed, by retention.

    Args:
        plan: of the study as it is now.
        definition: of the study.
        store: for the scores of trials that are done.
        have: what it holds.
    """
    identity = identify(definition.workload)
    lineages = Lineages(identity)
    done = [planned for planned in plan.trials if planned.is_done(have)]
    opened = [planned for planned in plan.trials if not planned.is_done(have)]
    running = [weights for planned in opened for weights in _unscored(planned, have, lineages)]
    ahead = on_the_frontier(_ends(done, store))
    best = [planned for planned in done if planned.trial.kind == "trial" and planned.trial.config_id in ahead]

    def needed(kept: Sequence[PlannedTrial]) -> frozenset[str]:
        finals = [_served_last(planned, lineages) for planned in kept]
        return needs_of([*running, *finals], have.updates, identity.anatomy).read

    return {
        "needed": needed(best),
        "final": needed(done),
        "all": frozenset(plan.all_updates & have.updates),
    }


def _unscored(planned: PlannedTrial, have: Known, lineages: Lineages) -> Iterator[Weights]:
    """The weights that a trial has yet to score, and the updates that it has yet to make for them."""
    built = lineages.of(planned.trial.config, planned.evaluate_at)
    for step, said in zip(built, planned.steps, strict=False):  # a trial may end before its stream does
        if not said.is_scored(have):
            yield step.served
            if step.update is not None:
                yield step.update


def _served_last(planned: PlannedTrial, lineages: Lineages) -> Weights:
    *_, last = itertools.islice(lineages.of(planned.trial.config), len(planned.steps))
    return last.served


def _ends(done: Iterable[PlannedTrial], store: Store) -> Ends:
    """AKA and AZS after the last task, of the trials that are done; anchors are left out."""
    own = {
        planned.steps[-1].full or planned.steps[-1].scores: planned
        for planned in done
        if planned.trial.kind == "trial" and not planned.is_stopped
    }
    results = Results(store)
    results.fetch(own)
    found: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for key, planned in own.items():
        end = results.summary(key)
        if end is not None:
            found[planned.trial.config_id][planned.trial.block] = (end.aka, end.azs)
    return found


def on_the_frontier(ends: Ends) -> set[str]:
    """Configs that no other dominates, in the means of both over all blocks on which they have finished."""
    found: set[str] = set()
    for blocks in {frozenset(own) for own in ends.values()}:
        means = {
            config: tuple(math.fsum(own[block][i] for block in blocks) for i in range(2))
            for config, own in ends.items()
            if blocks <= own.keys()
        }
        highest, beside = -math.inf, -math.inf
        for config in sorted(means, key=lambda config: means[config], reverse=True):  # AKA falls
            aka, azs = means[config]
            if azs < highest or (azs == highest and aka < beside):
                continue
            if azs > highest:
                highest, beside = azs, aka
            if ends[config].keys() == blocks:
                found.add(config)
    return found


# -- who uses a store --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class User:
    """A study that uses a store, as the study noted it in the store.

    Attributes:
        name: that of its folder among the studies of this store.
        folder: the study's folder.
        host: the machine that ran it last.
        definition: as it was at the last run.
    """

    name: str
    folder: Path
    host: str
    definition: StudyDefinition

    @property
    def note(self) -> str:
        """Name of its note."""
        return _note(self.name)

    @property
    def is_gone(self) -> bool:
        """Whether its folder was deleted, as far as can be seen from here."""
        return self.host == platform.node() and self.folder.parent.is_dir() and not self.folder.is_dir()

    def plan(self, store: Store) -> Plan | None:
        """The study's plan as it is now; None if the study has moved to another store, or another version made it.

        Raises:
            ConfigError: its plan cannot be known here.
        """
        home = Folder(path=self.folder)
        if home.name_in_stores == self.name and home.definition_file.is_file():  # seen from here, whoever ran it
            if home.is_of_another_version or not _is_same(home.location, store.location):
                return None
            return home.plan()
        if self.definition.search is not None or self.definition.early_stopping is not None:
            raise ConfigError(f"what it has decided is in its folder, {self.folder} on {self.host}")
        return make_plan(self.definition, f"study {self.definition.name}")


def register(store: Store, home: Folder, definition: StudyDefinition) -> None:
    """Tell a store that a study uses it.

    By a name of its own, which stays with its folder wherever that is mounted or moved to; a copy gets another one.
    """
    name, numerics = home.name_in_stores, home.numerics  # a folder with a name is one that has run
    if name is None or _is_copy(home, store, name):
        name = home.name_anew()
    body = {
        "folder": str(home.path.absolute()),
        "host": platform.node(),
        "numerics": numerics,
        "definition": definition.canonical(),
    }
    store.write_note(_note(name), json.dumps(body).encode())


def _is_copy(home: Folder, store: Store, name: str) -> bool:
    """Whether a study's folder is a copy: another folder of the same name still is where the store says."""
    with contextlib.suppress(ValueError, KeyError, TypeError):  # what is damaged is written anew
        folder = Folder(path=Path(json.loads(store.read_note(_note(name)) or b"")["folder"]))
        return folder.path != home.path.absolute() and folder.name_in_stores == name
    return False


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """What another version of the numerics made in a store.

    Attributes:
        sizes: bytes of each of its updates.
        studies: that used the store under this version when they ran last: their names and folders.
        live: those of them on which a run works now, as far as can be seen from here.
    """

    sizes: Mapping[str, int]
    studies: tuple[str, ...]
    live: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """What the updates of the version take."""
        return sum(self.sizes.values())


def foreign_in(store: Store, sizes: Mapping[str, int]) -> dict[int, Foreign]:
    """What other versions made in a store, of its updates with their bytes."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for key, size in sizes.items():
        if (version := version_of(key)) != NUMERICS_VERSION:
            found[version][key] = size
    studies: dict[int, list[str]] = defaultdict(list)
    live: dict[int, list[str]] = defaultdict(list)
    for note in store.notes("studies") if found else ():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a note that is damaged names nobody
            said = json.loads(store.read_note(note) or b"")
            version, folder = said.get("numerics", UNMARKED_VERSION), Path(said["folder"])
            if said["host"] == platform.node() and not folder.is_dir():
                continue
            studies[version].append(f"{said['definition']['name']} ({folder})")
            if is_held(Folder(path=folder)):
                live[version].append(studies[version][-1])
    return {
        version: Foreign(sizes=found[version], studies=tuple(studies[version]), live=tuple(live[version]))
        for version in sorted(found)
    }


def others(store: Store, home: Folder) -> list[User]:
    """The other studies that use a store under the version of this release.

    Raises:
        ConfigError: a note of one is damaged.
    """
    own = home.name_in_stores
    found = (_user(store, note) for note in store.notes("studies") if own is None or note != _note(own))
    return [user for user in found if user is not None]


def _user(store: Store, note: str) -> User | None:
    content = store.read_note(note)
    try:
        said: dict[str, Any] = json.loads(content or b"")
        if said.get("numerics", UNMARKED_VERSION) != NUMERICS_VERSION:
            return None
        definition = parse(StudyDefinition, said["definition"], source=f"{store.location}/{note}")
        return User(
            name=note.removeprefix(_STUDIES), folder=Path(said["folder"]), host=said["host"], definition=definition
        )
    except (ValueError, KeyError, TypeError) as error:
        if note not in store.notes("studies"):
            return None  # deleted meanwhile
        raise ConfigError(
            f"{store.location}/{note}: the note of a study that uses this store cannot be read; run that study again, "
            "which writes it anew, or delete it if that study is gone; nothing is freed"
        ) from error


_STUDIES = "studies/"


def _note(name: str) -> str:
    return f"{_STUDIES}{name}"


def _is_same(one: str, other: str) -> bool:
    one, other = canonical(one), canonical(other)
    return one == other or ("://" not in one + other and Path(one).resolve() == Path(other).resolve())


# -- what may be freed -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """The updates of a store, and which of them have to stay.

    Attributes:
        sizes: bytes of each that the version of this release made; the following is of these alone.
        stay: for each retention of the study at hand, with what other studies need by theirs.
        order: keys in the order in which they are freed: first those of no study.
        foreign: by version, what others made.
    """

    sizes: Mapping[str, int]
    stay: Mapping[Keep, frozenset[str]]
    order: Sequence[str]
    foreign: Mapping[int, Foreign]

    def freeable(self, keep: Keep) -> list[str]:
        """Updates that need not stay."""
        return [key for key in self.order if key not in self.stay[keep]]

    def bytes_of(self, keys: Iterable[str]) -> int:
        """The bytes of some updates together."""
        return sum(self.sizes.get(key, 0) for key in keys)


def holdings_of(store: Store, home: Folder, definition: StudyDefinition) -> Holdings:
    """Find what a store holds, and what of it has to stay for any study that uses the store.

    Raises:
        ConfigError: what another study needs cannot be known here.
    """
    # Scores, then updates, then plans: what a run adds meanwhile is either not seen, or needed by a trial of its plan.
    scores, costs, everything = store.keys("scores"), store.keys("costs"), store.sizes("updates")
    sizes = {key: size for key, size in everything.items() if version_of(key) == NUMERICS_VERSION}
    have = Known(updates=sizes.keys(), scores=scores, costs=costs)
    plan = Plan(trials=()) if home.is_of_another_version else home.plan()
    stay = must_stay(plan, definition, store, have)
    planned = list(plan.unique_updates)
    for user in others(store, home):
        try:
            theirs = None if user.is_gone else user.plan(store)
            if theirs is None:
                continue
            foreign = must_stay(theirs, user.definition, store, have)[user.definition.keep]
        except ConfigError as error:
            raise ConfigError(
                f"{store.location}: study {user.definition.name} ({user.folder} on {user.host}) uses this store, too, "
                f"and what it needs cannot be known here: {error}; do this where that study runs, or delete "
                f"{user.note} of the store if it is gone; nothing is freed"
            ) from error
        stay = {keep: stay[keep] | foreign for keep in KEEPS}
        planned += theirs.unique_updates
    of_studies = dict.fromkeys(planned)
    orphans = sorted(sizes.keys() - of_studies.keys())
    return Holdings(
        sizes=sizes,
        stay=stay,
        order=[*orphans, *(key for key in of_studies if key in sizes)],
        foreign=foreign_in(store, everything),
    )
