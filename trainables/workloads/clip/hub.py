"""Files of the Hugging Face hub that are on this machine; nothing is downloaded unless `fetched` is asked for it.

The cache is the hub's own (`HF_HOME`).
"""

from collections.abc import Callable
from pathlib import Path

from trainables.frozen import ConfigError
from trainables.machine.quiet_logs import silenced

TOKENIZER_FILES = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "config.json",
)


def local(name: str, beside: Path | None) -> Path | None:
    """The folder that a name in a config means, beside the config or by its path; None for a name on the hub."""
    if name and beside is not None and (beside / name).is_dir():
        return beside / name
    return Path(name) if Path(name).is_absolute() and Path(name).is_dir() else None


def cached_folder(repository: str, *files: str) -> Path | None:
    """The folder of a repository in the cache that has one of these files; None without one."""
    for file in files:
        path = _cached(repository, file)
        if path is not None:
            return path.parent
    return None


def cached_file(model: str, repository: str, *files: str) -> Path:
    """The first of these files of a repository that is in the cache.

    Raises:
        ConfigError: none is.
    """
    for file in files:
        path = _cached(repository, file)
        if path is not None:
            return path
    raise ConfigError(absent(model, f"{files[0]} of {repository}", repository))


def absent(model: str, what: str, repository: str) -> str:
    """The message about a file that is not on this machine."""
    return (
        f"model: {model}: {what} is not on this machine; `retune fetch STUDY` downloads it from the Hugging Face hub; "
        f"without a network, bring {repository} into this machine's hub cache ({_root()}) from another one"
    )


def download(model: str, repository: str, *patterns: str) -> None:
    """Bring the files of a repository that match into the cache.

    Raises:
        ConfigError: it failed.
    """
    from huggingface_hub import snapshot_download

    fetched(model, repository, lambda: snapshot_download(repository, allow_patterns=list(patterns)))


def fetched(model: str, repository: str, download: Callable[[], object]) -> None:
    """Run a download, without the messages of the hub's library about each retry.

    Raises:
        ConfigError: it failed; why, as one message.
    """
    try:
        with silenced("huggingface_hub"):
            download()
    except Exception as error:  # network errors have many types, and the hub has its own
        said = (" ".join(f"{error}".split()) or type(error).__name__)[:300]
        raise ConfigError(
            f"model: {model}: {repository} cannot be downloaded: {said}; try again with a network, or bring it into "
            f"this machine's hub cache ({_root()}) from another one"
        ) from error


def _cached(repository: str, file: str) -> Path | None:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE)
    except HFValidationError as error:
        raise ConfigError(f"model: {repository!r} is no name of the Hugging Face hub: {error}") from error
    return Path(found) if isinstance(found, str) else None


def _root() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)
