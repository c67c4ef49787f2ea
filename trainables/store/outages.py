"""Outages of an object storage: a passing failure is tried again for a while, a lasting one is told at once.

Errors are told apart by what they say (HTTP status, code of S3), whatever library raised them.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from trainables.frozen import ConfigError
from trainables.store.store import StoreError

_PAUSES = (0.2, 10.0)
_TELL_SECONDS = 5.0

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class Retrying:
    """Trying again while a storage may come back.

    Attributes:
        location: the storage, for messages.
        seconds: for how long after the first failure.
        tell: takes a line when it takes a while.
        advice: how its credentials are set.
    """

    location: str
    seconds: float
    tell: Callable[[str], None]
    advice: str

    def __call__(self, act: Callable[[], _Result]) -> _Result:
        """Do something that reads or writes the storage, at least once.

        Raises:
            FileNotFoundError, FileExistsError: as the library does.
            ConfigError: the storage refuses, and will go on doing so.
            StoreError: it has not answered for too long.
        """
        began, told, pause = 0.0, False, _PAUSES[0]
        while True:
            try:
                return act()
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:
                if (reason := self._refusal(error)) is not None:
                    raise ConfigError(f"{self.location}: {reason}") from error
                if not _is_of_storage(error):
                    raise
                now = time.monotonic()
                began = began or now
                if now - began >= self.seconds:
                    raise StoreError(
                        f"{self.location}: no answer for {now - began:.0f} s ({_said(error)}); check the network and "
                        "the address of the storage, then run the same command again: nothing is lost"
                    ) from error
                if not told and now - began >= _TELL_SECONDS:
                    told = True
                    self.tell(f"{self.location}: no answer ({_said(error)}); trying again for {self.seconds:.0f} s")
            time.sleep(pause * random.uniform(0.5, 1))  # not all workers at once
            pause = min(2 * pause, _PAUSES[1])

    def _refusal(self, error: Exception) -> str | None:
        """The change that a user has to make, where trying again is of no use; else None."""
        code, status = _code(error), _status(error)
        if "Credential" in type(error).__name__ or code in _UNKNOWN_USER:
            return f"the storage does not accept the credentials ({_said(error)}); {self.advice}"
        if code in _PASSING:
            return None
        if isinstance(error, PermissionError) or status == _FORBIDDEN or str(error).startswith("Forbidden"):
            return (
                f"no permission ({_said(error)}); allow this user to list, read, write and delete objects there, or "
                f"{self.advice}"
            )
        if status is not None and _REFUSED <= status < _FAILED and status not in _PASSING_STATUS:
            return f"the storage refuses ({_said(error)}); correct the address, or {self.advice}"
        return None


_UNKNOWN_USER = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidSecurity"}
_PASSING = {"RequestTimeTooSkewed", "RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"}
_PASSING_STATUS = {408, 409, 412, 425, 429}
_REFUSED, _FORBIDDEN, _FAILED = 400, 403, 500
_LIBRARIES = {"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "urllib3"}


def _is_of_storage(error: Exception) -> bool:
    """Whether an error is one of the storage or of the network, rather than one of ours."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _LIBRARIES


def _answer(error: Exception) -> dict[str, Any]:
    """The answer of S3 behind an error; empty where there is none."""
    for one in (error, error.__cause__):
        if isinstance(answer := getattr(one, "response", None), dict):
            return answer
    return {}


def _code(error: Exception) -> str:
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _status(error: Exception) -> int | None:
    """The HTTP status behind an error, where the library tells."""
    status = str(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or getattr(error, "code", None))
    return int(status) if status.isdigit() else None


def _said(error: Exception) -> str:
    """The words of a library about an error, on one line."""
    code, text = _code(error), " ".join(str(error).split())
    return f"{code}: {text}" if code and code not in text else text or type(error).__name__
