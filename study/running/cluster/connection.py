"""The connection to Ray: one that is started here and ends with this process, or a cluster that runs already.

A cluster is asked who it is before Ray connects, since Ray itself would try for minutes and then say little. What the
nodes run is a copy of the four packages of this process; their libraries are what the nodes have.
"""

import contextlib
import json
import logging
import os
import platform
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from trainables.frozen import ConfigError
from trainables.machine.processes import RunError, usable_cpus

PACKAGES = ("study", "trainables", "search_spaces", "analysis")
"""What travels to the nodes: these folders, without what Python makes of them."""

PASSED_ON = ("AWS_", "GOOGLE_", "FSSPEC_", "STORAGE_EMULATOR_HOST", "RETUNE_", "HF_HOME", "HF_HUB_CACHE", "OMP_NUM_")
"""Beginnings of names of environment variables that travel, too: of stores, caches, downloaded weights, threads."""

_SECONDS = 5
"""How long a cluster may take to answer, each time it is asked."""

_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths mean what they mean here
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the store is the record
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # experiment state is never used
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # what is bounded is trials that are not done, by the nodes
    "RAY_USAGE_STATS_ENABLED": "0",  # no network
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the progress line is ours
}
_OF_A_CLUSTER = {
    "RAY_py_gcs_connect_timeout_s": str(_SECONDS),
    "RAY_gcs_rpc_server_connect_timeout_s": str(_SECONDS),
    "RAY_NUM_REDIS_GET_RETRIES": "3",
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",  # inside `ray job submit --working-dir`, what travels is still the packages
}


@contextlib.contextmanager
def connected(address: str | None, *, threads: int) -> Iterator[None]:
    """Connect to Ray for the time of a run; without an address Ray is started on this machine.

    Args:
        address: "auto" or HOST:PORT of a cluster of which this machine is a node.
        threads: of numerical libraries in a worker; Ray would take the cores of its trial, which may differ.

    Raises:
        ConfigError: not an address that can be used, or no cluster is there, or none for this process.
        RunError: Ray does not start.
    """
    settings = _SETTINGS if address is None else _SETTINGS | _OF_A_CLUSTER
    if address is None:
        # A token for this run alone; Ray would otherwise write one into the home folder.
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    settings |= {"OMP_NUM_THREADS": str(threads)}
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    with _started() if address is None else _joined(address):
        yield


@contextlib.contextmanager
def _started() -> Iterator[None]:
    import ray

    before = psutil.Process().children()
    try:
        ray.init(
            address="local",
            num_cpus=usable_cpus(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunError(f"Ray could not start here: {_first_line(error)}") from error
    started = [process for process in psutil.Process().children() if process not in before]
    children = [process for one in started for process in (one, *one.children(recursive=True))]
    try:
        yield
    finally:
        ray.shutdown()
        _, alive = psutil.wait_procs(children, timeout=2)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@contextlib.contextmanager
def _joined(address: str) -> Iterator[None]:
    """Connect to a running cluster, which goes on running when this process ends."""
    head = _found(address)
    _require_same_versions(_asked(head), head)
    import ray

    with tempfile.TemporaryDirectory(prefix="retune-") as folder:
        environment = {
            "working_dir": str(copied(Path(folder))),
            "env_vars": passed_on(os.environ),
        }
        try:
            ray.init(address=head, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # whatever it is, there is no cluster to run on
            raise ConfigError(
                f"the Ray cluster at {head} does not take this process: {_first_line(error)}; retune has to run on a "
                "machine that is a node of the cluster, such as its head, or there by `ray job submit`"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def passed_on(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that the workers of a cluster get, too."""
    return {name: value for name, value in variables.items() if name.startswith(PASSED_ON)}


def copied(folder: Path) -> Path:
    """Copy our packages, wherever they are installed, into a folder; Ray sends the folder to each node once."""
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


# -- who a cluster is --------------------------------------------------------------------------------------------------


def require_address(address: str) -> None:
    """See that an address of a cluster is one.

    Raises:
        ConfigError: it is not, or one that cannot be used.
    """
    if address.startswith("ray://"):
        raise ConfigError(
            f"--address: {address} given; Ray Client runs the scheduler on the cluster, away from the study's folder: "
            "run retune on the cluster's head with --address auto, there also by `ray job submit`"
        )
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"--address: {address!r} given; allowed: auto, or HOST:PORT such as 10.0.0.1:6379")


def _found(address: str) -> str:
    """HOST:PORT of a cluster's head."""
    require_address(address)
    if address != "auto":
        return address
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        found: str = canonicalize_bootstrap_address_or_die("auto")
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = str(error).split(". ")[0]
        raise ConfigError(
            f"--address auto: {said}; start one here (`ray start --head`), log in to a node of one, name it as "
            "HOST:PORT, or leave --address out to run on this machine alone"
        ) from error
    return found


def _asked(head: str) -> dict[str, Any]:
    """What a cluster's head says of itself."""
    host, _, port = head.rpartition(":")
    check = "check host and port (6379 unless `ray start --port` says another)"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"no Ray cluster answers at {head} ({error.strerror or error}); {check}") from error
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError, RayError

    try:
        with _quiet():
            said = GcsClient(address=head).internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=_SECONDS)
        return dict(json.loads(said))
    except AuthenticationError as error:
        raise ConfigError(
            f"the Ray cluster at {head} refuses this process's token; put the cluster's token into RAY_AUTH_TOKEN, or "
            "the name of its file into RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        ) from error
    except (RayError, TypeError, ValueError) as error:
        raise ConfigError(f"what answers at {head} is not the head of a Ray cluster; {check}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Ray's C++ part writes to standard error; errors are told by one message of ours."""
    before = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _require_same_versions(cluster: Mapping[str, Any], head: str) -> None:
    import ray

    theirs = f"Ray {cluster.get('ray_version')} on Python {cluster.get('python_version')}"
    ours = f"Ray {ray.__version__} on Python {platform.python_version()}"
    if theirs != ours:
        raise ConfigError(
            f"the cluster at {head} runs {theirs}, this process {ours}; both have to be the same: install the one "
            "here, or the other on all nodes"
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0].strip().rstrip(".") if text else type(error).__name__
