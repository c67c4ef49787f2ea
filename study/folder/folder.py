"""A study's folder: where its definition, store, tables, report and log are, and who may write to it.

It knows which version of the numerics its results are of. What another version made is read as it is, by its ledger
(`study.folder.ledger`).
"""

import contextlib
import fcntl
import itertools
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from study.definition.files import differences, dump, read, recovery
from study.definition.precision import settled
from study.definition.study import StudyDefinition
from study.folder.ledger import Head, Ledger
from study.planning.decisions import DecisionFile, Decisions
from study.planning.plan import Plan, PlannedTrial, make_plan, until
from study.planning.searched import search_digest
from trainables.files import leftovers, whole
from trainables.frozen import ConfigError
from trainables.nodes import NUMERICS_VERSION, UNMARKED_VERSION
from trainables.store.opening import open_store
from trainables.store.store import Store, StoreError
from trainables.workloads.catalogue import identify


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The folder of one study."""

    path: Path

    @property
    def definition_file(self) -> Path:
        """The definition, resolved and frozen."""
        return self.path / "study.yaml"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.path / "tables"

    @property
    def log_file(self) -> Path:
        """What happened, with times."""
        return self.path / "log.jsonl"

    @property
    def ray(self) -> Path:
        """Ray's own files; they may be deleted at any time."""
        return self.path / "ray"

    @property
    def decisions(self) -> DecisionFile:
        """What a search and early stopping have decided."""
        return DecisionFile(self.path / _DECISIONS)

    @property
    def ledger(self) -> Ledger:
        """Its trials and the names of their results."""
        return Ledger(self.path / _LEDGER)

    @property
    def numerics(self) -> int:
        """The version of the numerics that its results are of; the present one where it has none yet."""
        head = self.ledger.head()
        if head is not None:
            return head.numerics
        return UNMARKED_VERSION if any(_holds(self.path / one) for one in _OF_RUNS) else NUMERICS_VERSION

    @property
    def is_of_another_version(self) -> bool:
        """Whether its results are of another version of the numerics: they are read as they are, and not added to."""
        return self.numerics != NUMERICS_VERSION

    @property
    def release(self) -> str | None:
        """The release of retune that ran it last, if that is known."""
        head = self.ledger.head()
        if head is not None:
            return head.release
        return next((str(row["versions"]["retune"]) for row in self.last_run() if "versions" in row), None)

    @property
    def release_in_words(self) -> str:
        """The release that goes on with its results, for messages."""
        return "the release of retune that made it" if self.release is None else f"retune {self.release}"

    @property
    def name_in_stores(self) -> str | None:
        """A random name that this folder has among the studies of a store; None before its first run."""
        file = self.path / _NAME
        return file.read_text().strip() if file.is_file() else None

    def name_anew(self) -> str:
        """Give it a random name, which a folder that was copied must not share."""
        name = secrets.token_hex(16)
        with whole(self.path / _NAME) as file:
            file.write_text(name)
        return name

    @cached_property
    def location(self) -> str:
        """Where the store is."""
        return store_of(self.definition(), self.path)

    def store(self, tell: Callable[[str], None] | None = None) -> Store:
        """The store; damage is written to the log, and told if somebody listens.

        Raises:
            ConfigError, StoreError: it cannot be reached or read.
        """

        def damaged(message: str) -> None:
            self.log("damaged", message=message)
            if tell is not None:
                tell(message)

        store = open_store(self.location, damaged)
        store.check(writable=False)
        return store

    def definition(self) -> StudyDefinition:
        """The definition that this folder was made by.

        Raises:
            ConfigError: this is not a study's folder.
        """
        if not self.definition_file.is_file() and ((self.path / "store").is_dir() or self.log_file.is_file()):
            raise ConfigError(f"{self.path}: its study.yaml is gone; {recovery(self.path)}")
        if not self.definition_file.is_file():
            raise ConfigError(f"{self.path}: not a study's folder (it has no study.yaml); make one with `retune run`")
        return read(self.definition_file)

    def settled(self, definition: StudyDefinition) -> StudyDefinition:
        """A definition with what this folder was made with where that is open (`study.definition.precision`)."""
        has_made = self.definition_file.is_file() and not self.is_of_another_version
        return settled(definition, self.definition() if has_made else None)

    def plan(self) -> Plan:
        """The plan of this study as it is now: a search and early stopping change it while the study runs.

        Of a study of another version it is what its ledger says, with the names that this version gave the results.

        Raises:
            ConfigError: this is not a study's folder, or its definition cannot be planned.
        """
        definition, decisions, numerics = self.definition(), self.decisions.read(), self.numerics
        head = self.ledger.head() if numerics != NUMERICS_VERSION else None
        recorded = [] if head is None else self.ledger.trials()
        if head is None or not recorded:
            return make_plan(definition, str(self.definition_file), decisions, numerics)
        ends = {} if definition.early_stopping is None else decisions.stopped
        return Plan(
            trials=tuple(until(planned, ends.get(planned.trial.id)) for planned in recorded),
            is_open=head.asked is not None and head.asked not in decisions.ended,
            parameters=head.parameters,
        )

    def record(self, trials: Iterable[PlannedTrial]) -> None:
        """Write the ledger anew: the trials of the study as this release plans it.

        Raises:
            StoreError: it cannot be written.
        """
        self.ledger.write(_head(self.definition(), NUMERICS_VERSION, metadata.version("retune")), trials)

    def ended(self) -> list[str]:
        """Why the search of this study ended; nothing if it did not, or if there is none."""
        definition = self.definition()
        reason = None if definition.search is None else self.decisions.read().ended.get(search_digest(definition))
        return [] if reason is None else [reason]

    def changed(self) -> tuple[int, ...]:
        """When the definition and the decisions were written last; another value means another plan."""
        files = (self.definition_file, self.path / _DECISIONS)
        return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)

    def log(self, event: str, **values: object) -> None:
        """Add a line to log.jsonl: the time, the process, the event and its values. One write, so lines stay whole."""
        line = json.dumps({"time": round(time.time(), 3), "pid": os.getpid(), "event": event, **values})
        with contextlib.suppress(OSError), self.log_file.open("a") as file:
            file.write(line + "\n")  # a log that cannot be written must not hide why, nor end a study

    def events(self) -> Iterator[dict[str, Any]]:
        """Lines of the log; one that a crash cut short is passed over."""
        for line in self.log_file.read_text().splitlines() if self.log_file.is_file() else ():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def last_run(self) -> list[dict[str, Any]]:
        """Lines of the log since the last run began."""
        rows = list(self.events())
        starts = [i for i, row in enumerate(rows) if row["event"] == "run_started"]
        return rows[starts[-1] :] if starts else []


class Claimed(NamedTuple):
    """A folder that is held for a run, what changed of its definition, and where another version's study is now."""

    folder: Folder
    changed: list[str]
    aside: Folder | None


def store_of(definition: StudyDefinition, path: Path) -> str:
    """Where the store of a study is whose folder is `path`: there, unless its definition says where."""
    return definition.store or str(path / "store")


@contextlib.contextmanager
def claim(path: Path, definition: StudyDefinition, source: str) -> Iterator[Claimed]:
    """Hold a study's folder for this process and a definition; gives it with what changed since the last run.

    A definition may grow or shrink, and one that is gone is written anew. One of another study, or one that shares no
    trial with what is there, is refused. What another version made is set aside (`_set_aside`). The lock ends with the
    process, however that ends.

    Raises:
        ConfigError: the folder belongs to another study, is no study's folder, or another process holds it.
        StoreError: the folder cannot be written.
    """
    folder = Folder(path=path)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: a file; give --dir a folder")
    drafts = (*leftovers(folder.definition_file), *leftovers(folder.ledger.path))
    ours = {_LOCK, _LEDGER, *(one.name for one in drafts)}
    others = {one.name for one in path.iterdir()} - ours if path.is_dir() else set()
    if others and not others & {"store", folder.log_file.name} and not folder.definition_file.exists():
        raise ConfigError(f"{path}: not empty and not a study's folder; give --dir an empty or a new folder")
    with folder_lock(path):
        changed = _changes(folder, definition, source)
        try:
            aside = _set_aside(folder, definition) if folder.is_of_another_version else None
            if aside is not None or folder.ledger.head() is None:  # first, so that nobody takes it for an older folder
                folder.ledger.write(_head(definition, NUMERICS_VERSION, metadata.version("retune")), ())
            _write_definition(folder, definition)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror}); nothing was started") from error
        yield Claimed(folder, changed, aside)


@contextlib.contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """Hold a study's folder for this process, so that no run works on it.

    Raises:
        ConfigError: another process holds it.
        StoreError: the folder cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / _LOCK).open("a+")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); a folder of yours is needed") from error
    with lock:
        _hold(lock, path)
        yield


def is_held(folder: Folder) -> bool:
    """Whether a run works on this folder now."""
    try:
        with (folder.path / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


_LOCK, _NAME, _DECISIONS, _LEDGER = ".lock", ".name", "decisions.jsonl", "ledger.jsonl"
_OF_RUNS = ("log.jsonl", "store", "tables", _NAME)
"""What a run leaves in a folder."""


def _holds(path: Path) -> bool:
    """Whether a run has left something here: not in an empty folder, which a user may have made for the store."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


_PATIENCE_SECONDS = 1.0


def _hold(lock: TextIO, path: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS  # `retune status` looks at the lock for a moment
    while not _locked(lock):
        if time.monotonic() > end:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise ConfigError(f"{path}: another run works on this study (process {holder}); wait for it or end it")
        time.sleep(0.05)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _changes(folder: Folder, definition: StudyDefinition, source: str) -> list[str]:
    if not folder.definition_file.exists():
        return []
    old = folder.definition()
    changed = differences(old, definition)
    if old.name != definition.name:
        raise ConfigError(
            f"{folder.path}: made by another definition, of a study of another name: {old.name} -> {definition.name}; "
            "give another --dir, or the definition that made this folder"
        )
    if changed and not _continues(old, definition, source, folder.decisions.read()):
        raise ConfigError(
            "\n  ".join([f"{folder.path}: made by another definition, which shares no trial with {source}:", *changed])
            + "\ngive another --dir, or the definition that made this folder"
        )
    return changed


def _head(definition: StudyDefinition, numerics: int, release: str | None) -> Head:
    asked = None if definition.search is None else search_digest(definition)
    parameters = identify(definition.workload).anatomy.size
    return Head(numerics=numerics, release=release, asked=asked, parameters=parameters)


def _set_aside(folder: Folder, definition: StudyDefinition) -> Folder:
    """Make what another version left in a folder a study's folder of its own, inside of it and over the same store.

    The definition, the ledger, the log and the decisions are copied there, tables, reports and files of trackers moved.
    A crash on the way loses nothing: until the copy is whole, the folder is what it was, but for what can be derived.
    """
    draft = Folder(path=folder.path / f".version-{folder.numerics}.tmp")
    draft.path.mkdir(exist_ok=True)
    if folder.definition_file.is_file():
        definition = folder.definition()
    else:  # one that is gone is written anew
        _write_definition(folder, definition)
    head = folder.ledger.head() or _head(definition, folder.numerics, folder.release)
    draft.ledger.write(head, folder.plan().trials)
    _write_definition(draft, definition.model_copy(update={"store": definition.store or "../store"}))
    told = [path for path in (folder.log_file, folder.path / _DECISIONS) if path.is_file()]
    for path in told:
        shutil.copyfile(path, draft.path / path.name)
    for path in folder.path.iterdir():
        if path.name in ("tables", "tracking") or path.name.partition("-")[0] == "report":
            path.rename(draft.path / path.name)
    endings = itertools.chain([""], (f"-{i}" for i in itertools.count(2)))
    places = (folder.path / f"version-{folder.numerics}{ending}" for ending in endings)
    made = next(path for path in places if not path.exists())
    draft.path.rename(made)
    for path in told:
        path.unlink()
    return Folder(path=made)


def _write_definition(folder: Folder, definition: StudyDefinition) -> None:
    with whole(folder.definition_file) as file:
        file.write_text(dump(definition))


def _continues(old: StudyDefinition, new: StudyDefinition, source: str, decisions: Decisions) -> bool:
    before = {planned.trial.id for planned in make_plan(old, source, decisions).trials}
    after = (planned.trial.id for planned in make_plan(new, source, decisions).trials)
    return not before or any(name in before for name in after)  # a search may have asked for nothing yet
