"""The examples of clusters: valid for those who read them, of one version of Ray, and asking for what retune has."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from study.commands import app
from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.trials import trials
from study.running.cluster import connection
from tests.docs.pages import INDEX
from tests.study import command
from trainables.frozen import parse

_FOLDER = Path(connection.__file__).parent

_JOB = {
    *("entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes"),
    *("ttlSecondsAfterFinished", "rayClusterSpec"),
}
_CLUSTER = {"rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec"} | {
    "workerGroupSpecs"
}
_HEAD = {"rayStartParams", "template"}
_WORKERS = _HEAD | {"groupName", "replicas", "minReplicas", "maxReplicas"}
"""Fields of KubeRay's resources of ray.io/v1 (its API reference, 1.7), of those that the example has."""


def _yaml(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((_FOLDER / name).read_text()))


def test_the_launcher_takes_the_cluster() -> None:
    (config,) = _yaml("ray-cluster.yaml")
    validate_config(prepare_config(config))
    assert config["head_node_type"] in config["available_node_types"]
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert any("RAY_AUTH_MODE=token ray start" in line for line in commands)
    assert "/home/ray/.ray/auth_token" in config["file_mounts"]


def test_kuberay_knows_what_the_job_says() -> None:
    _, job = _yaml("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert set(job["spec"]) == _JOB
    assert job["spec"]["submissionMode"] == "K8sJobMode"
    assert set(cluster) == _CLUSTER
    assert set(cluster["headGroupSpec"]) == _HEAD
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        assert container["image"].endswith(f":{cluster['rayVersion']}")
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == _WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_job_runs_its_study_on_its_cluster() -> None:
    study, job = _yaml("rayjob.yaml")
    program, verb, path, *options = shlex.split(job["spec"]["entrypoint"])
    assert (program, verb) == ("retune", "run")
    run = typer.main.get_command(app.app).commands["run"]  # type: ignore[attr-defined]
    given = run.make_context("run", [path, *options]).params
    assert given["address"] == "auto"
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in head["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in head["volumes"]}
    assert "persistentVolumeClaim" in volumes[mounts[str(given["folder"])]]
    assert volumes[mounts[str(Path(path).parent)]]["configMap"]["name"] == study["metadata"]["name"]
    text = study["data"][Path(path).name]
    definition = parse(StudyDefinition, yaml.safe_load(text), source=path)
    assert definition.store is not None
    assert definition.resources.gpus == 1
    assert len(trials(definition, path)) == 3 * (4 + 4 + 1)


def test_all_examples_are_of_the_ray_that_they_were_tried_with() -> None:
    for path in (_FOLDER / "ray-cluster.yaml", _FOLDER / "rayjob.yaml", INDEX.parent / "clusters-and-stores.md"):
        assert set(re.findall(r"\b2\.\d+\.\d+", path.read_text())) == {"2.60.0"}


@pytest.mark.slow
@pytest.mark.thorough
def test_the_slurm_script_runs_a_study_on_its_nodes_and_is_queued_again(tmp_path: Path) -> None:
    """Slurm is two commands of ours that do what it would; Ray, the study and the signal are real."""
    assert os.access(_FOLDER / "slurm.sh", os.X_OK)
    study = command.write_study(tmp_path, _LONG)
    folder, shared = tmp_path / "run", _shared(tmp_path)
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(
            [_FOLDER / "slurm.sh", study, "--dir", folder],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            env={**os.environ, **shared},
            start_new_session=True,
        )

    def said() -> str:
        return (tmp_path / "log").read_text()

    def has_work_on_both() -> bool:
        assert job.poll() is None, said()
        workers = {row["pid"] for row in Folder(path=folder).events() if row["event"] == "worker"}
        return {_node_of(pid) for pid in workers} >= {"one", "two"}

    try:
        command.wait_until(has_work_on_both, what="work on both nodes")
        children = psutil.Process(job.pid).children(recursive=True)
        job.send_signal(signal.SIGTERM)  # Slurm, before the time is over
        assert job.wait(timeout=60) == 130, said()
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    assert "the same command goes on" in said()
    assert (tmp_path / "requeued").read_text().strip() == shared["SLURM_JOB_ID"]
    _, alive = psutil.wait_procs(children, timeout=20)
    shutil.rmtree(f"/tmp/r{shared['SLURM_JOB_ID']}")
    assert not alive


_LONG = f"""
name: long
workload: {{name: noop}}
fixed: {{tasks: 10, steps: 2, batch_size: 32}}
grid: [{{lr: {[round(1e-3 * 1.01**i, 8) for i in range(400)]}}}]
joint: null
"""


def _shared(folder: Path) -> dict[str, str]:
    """The environment of a Slurm job of two nodes, each with a folder for temporary files of its own."""
    home, programs = folder / "home", folder / "bin"
    environment = home / "retune" / ".venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    programs.mkdir()
    _write(programs / "srun", _SRUN)
    _write(programs / "scontrol", _SCONTROL)
    return {
        **{"HOME": str(home), "USER": "tester", "PATH": f"{programs}:{os.environ['PATH']}"},
        **{"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NODELIST": "[one,two]", "SLURM_CPUS_PER_TASK": "1"},
    }


_SRUN = """#!/usr/bin/env bash
while [[ "$1" == --* ]]; do
    case "$1" in
        --nodelist=*) node="${1#*=}" ;;
        --output=*) log="${1#*=}" ;;
    esac
    shift
done
case "$1" in
    hostname) exec echo 127.0.0.1 ;;
esac
export RAY_TMPDIR="/tmp/r$SLURM_JOB_ID/$node"
mkdir -p "$RAY_TMPDIR"
exec "$@" --object-store-memory=100000000 >"${log:-/dev/null}.$node" 2>&1
"""

_SCONTROL = """#!/usr/bin/env bash
case "$1" in
    show) echo one; echo two ;;
    requeue) echo "$2" >requeued ;;
esac
"""


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _node_of(pid: int) -> str | None:
    """The node on which a worker runs, or None when it is gone."""
    try:
        return Path(psutil.Process(pid).environ()["RAY_TMPDIR"]).name
    except (psutil.Error, KeyError):
        return None
