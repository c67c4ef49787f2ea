"""A study's log as it grows: its lines, each once, in the order written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Log:
    """Reads `log.jsonl`, and goes on where it stopped.

    Args:
        path: of the log, which may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Lines since the last call. One that a crash cut short is passed over, one that is being written waits."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and "event" in row and "time" in row:
                yield row
