"""The command `retune fetch`: makes ready what a study needs."""

import typer

from study.commands.console import CacheOption, StudyArgument, bounded, note, warn
from study.definition.files import load
from trainables.machine.processes import RunError
from trainables.workloads.catalogue import prepare


def fetch(study: StudyArgument, cache_gb: CacheOption = None) -> None:
    """Make ready what a study needs: download weights it names, index its manifest, decode its images into the cache.

    Only this command uses the network, besides importing from a hub. Trials download nothing; images that are missing
    they decode as they go.
    """
    definition, _ = load(study)
    done = prepare(definition.workload, bounded(definition, cache_gb).resources.here(), note)
    typer.echo(done.summary)
    for line in done.problems[:10]:
        warn(line)
    if done.failure is not None:
        raise RunError(done.failure)
