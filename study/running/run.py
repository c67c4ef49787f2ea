"""Running a study: what the store lacks, by Ray (`study.running.on_ray`), or in this process without it.

Running again is resuming.
"""

import contextlib
from typing import Literal

from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.running.inline import run_inline
from study.running.progress import Progress
from study.running.trial_source import TrialSource

Executor = Literal["ray", "inline"]


def run_trials(
    source: TrialSource,
    *,
    definition: StudyDefinition,
    folder: Folder,
    progress: Progress,
    executor: Executor = "ray",
    address: str | None = None,
) -> None:
    """Run trials until there are no more of them, or the run is interrupted."""
    if executor == "inline":
        with contextlib.suppress(KeyboardInterrupt):
            run_inline(source, definition=definition, folder=folder, progress=progress)
    else:
        from study.running.cluster.connection import connected

        with connected(address, threads=definition.resources.runtime(gpus=0).threads):
            from study.running.on_ray import needs_of, run_on_ray  # Ray reads its settings when it is loaded

            with needs_of(definition, folder, progress, address) as needs:
                run_on_ray(
                    source, definition=definition, folder=folder, progress=progress, needs=needs, address=address
                )
