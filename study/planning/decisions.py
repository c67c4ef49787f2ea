"""What a search and early stopping have decided, one line each in `decisions.jsonl` of the study's folder.

Together with the definition it says which trials the study has, and where each ends, so that tables, status and report
need not know how it was decided. Everything else about a search follows from the results. A line that a crash cut short
is passed over: its decision is made again.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.space import Scalar
from trainables.store.store import StoreError


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A config that a search asked for; its number is its place in the file.

    Attributes:
        values: of the axes that the search space names.
        config: the id of the config that they made.
        refused: constraints that it cannot keep, with how far it is off; it is not run then.
        known: whether an earlier study has run it, so that it is not run here.
        generation: that an evolutionary sampler counted it to.
    """

    values: Mapping[str, Scalar]
    config: str
    refused: Mapping[str, float] = field(default_factory=dict)
    known: bool = False
    generation: int | None = None


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """All decisions so far.

    Attributes:
        suggested: configs in the order of suggestion; one that was suggested twice stands here twice.
        blocks: how many blocks a config runs on, where that is more than all configs do; by its id.
        stopped: the task that a trial ends with, by its id.
        closed: why no more configs are asked for, though blocks may be added, by what the search was asked for.
        ended: why the search ended, likewise; a search that is asked for more goes on.
    """

    suggested: tuple[Suggestion, ...] = ()
    blocks: Mapping[str, int] = field(default_factory=dict)
    stopped: Mapping[str, int] = field(default_factory=dict)
    closed: Mapping[str, str] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)


class DecisionFile:
    """The file of decisions, read and added to; each decision is on the disk before it has an effect."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Decisions:
        """The decisions of all whole lines."""
        suggested: list[Suggestion] = []
        blocks: dict[str, int] = {}
        stopped: dict[str, int] = {}
        closed: dict[str, str] = {}
        ended: dict[str, str] = {}
        for row in self._rows():
            match row:
                case {"decision": "suggest", "values": dict() as values, "config": str() as config}:
                    rest = {name: row[name] for name in ("refused", "known", "generation") if name in row}
                    suggested.append(Suggestion(values=values, config=config, **rest))
                case {"decision": "blocks", "blocks": dict() as more}:
                    blocks |= more
                case {"decision": "stop", "trial": str() as trial, "task": int() as task}:
                    stopped[trial] = task
                case {"decision": "close", "asked": str() as asked, "reason": str() as reason}:
                    closed[asked] = reason
                case {"decision": "end", "asked": str() as asked, "reason": str() as reason}:
                    ended[asked] = reason
                case {"decision": "reopen", "asked": str() as asked}:
                    closed.pop(asked, None)
                    ended.pop(asked, None)
        return Decisions(suggested=tuple(suggested), blocks=blocks, stopped=stopped, closed=closed, ended=ended)

    def suggest(self, suggestion: Suggestion) -> None:
        """Note that a config is asked for."""
        row: dict[str, Any] = {"values": dict(suggestion.values), "config": suggestion.config}
        if suggestion.refused:
            row["refused"] = dict(suggestion.refused)
        if suggestion.known:
            row["known"] = True
        if suggestion.generation is not None:
            row["generation"] = suggestion.generation
        self._add("suggest", row)

    def run_on(self, blocks: Mapping[str, int]) -> None:
        """Note on how many blocks configs run; in one line, so that a crash leaves all or nothing of it."""
        self._add("blocks", {"blocks": dict(blocks)})

    def stop(self, trial: str, task: int, reason: str) -> None:
        """Note that a trial ends with a task."""
        self._add("stop", {"trial": trial, "task": task, "reason": reason})

    def close(self, asked: str, reason: str) -> None:
        """Note that a search asks for no more configs."""
        self._add("close", {"asked": asked, "reason": reason})

    def end(self, asked: str, reason: str) -> None:
        """Note that a search ends."""
        self._add("end", {"asked": asked, "reason": reason})

    def reopen(self, asked: str) -> None:
        """Note that a search that had ended goes on."""
        self._add("reopen", {"asked": asked})

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row

    def _add(self, decision: str, row: Mapping[str, Any]) -> None:
        line = json.dumps({"decision": decision, **row}).encode() + b"\n"
        try:
            with self._path.open("a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    line = line if file.read(1) == b"\n" else b"\n" + line  # after a line that was cut short
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}; nothing is lost, run the same command again") from error
