"""The command `retune fetch`: makes ready what a study needs."""

import typer

from study.commands.console import CacheOption, StudyArgument, bounded, note, warn
from study.definition.files import load
from study.processes import RunError, usable_cpus
from study.progress_line import clock_time


def fetch(study: StudyArgument, cache_gb: CacheOption = None) -> None:
    """Make ready what a study needs: download weights it names, index its manifest, decode its images into the cache.

    Only this command uses the network, besides importing from a hub. Trials download nothing; images that are missing
    they decode as they go.
    """
    from study.data.fetch import fetch as make_ready

    definition, _ = load(study)
    runtime = bounded(definition, cache_gb).resources.here()
    done = make_ready(definition.workload, runtime, workers=usable_cpus(), tell=note)
    typer.echo(
        f"{done.images} images, {done.cached} decoded in the cache ({done.cache_bytes / 1e9:.2f} GB), "
        f"{clock_time(done.seconds)}"
    )
    for line in done.bad[:10]:
        warn(line)
    if done.bad:
        raise RunError(f"{len(done.bad)} images cannot be decoded; `retune data check` lists them")
