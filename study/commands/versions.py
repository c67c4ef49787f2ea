"""What commands say of results that another version of the numerics made, and what they do without them."""

from pathlib import Path

from study.commands.console import warn
from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.plan import Known, Plan, make_plan
from study.status.attempts import Attempts
from trainables.frozen import ConfigError
from trainables.machine.progress_line import clock_time
from trainables.nodes import NUMERICS_VERSION


def plan_in(home: Folder, definition: StudyDefinition, source: str) -> Plan:
    """What a run of a definition in a folder would make; what was decided by results of another version is void."""
    return make_plan(definition, source, None if home.is_of_another_version else home.decisions.read())


def require_same_version(home: Folder, full: Plan, have: Known) -> None:
    """Raises: ConfigError: the results in the folder are of another version, so all of them would be made anew."""
    if not home.is_of_another_version:
        return
    made, release = home.numerics, home.release
    missing = full.missing(have)
    updates = len({key for planned in missing for key in planned.to_train(have)})
    trials = f"{len(missing)} of {len(full.trials)} trials, {updates} updates"
    what = "the search from its first trial on" if full.is_open else trials
    attempts = Attempts(home)
    attempts.read()
    attempts.settle()
    spent = sum(one.seconds(one.last) for one in attempts.all)
    took = f" (under version {made} its trials took {clock_time(spent)} together)" if spent else ""
    by = "" if release is None else f" by retune {release}"
    raise ConfigError(
        f"{home.path}: made under version {made} of the numerics{by}; this release has version {NUMERICS_VERSION}, "
        "which comes to other numbers, so nothing was started\n"
        f"  to read it as it is: retune status {home.path}, retune report {home.path}\n"
        f"  to go on under version {made}: run it with {home.release_in_words}\n"
        f"  to train it anew under version {NUMERICS_VERSION}: add --anew, which trains {what}{took}; "
        f"what version {made} made stays a study, in {home.path}/version-{made}"
    )


def warn_of_warm_starts(definition: StudyDefinition) -> None:
    """Warn of earlier studies that a search starts from and another version made."""
    for earlier in map(Path, [] if definition.search is None else definition.search.warm_start):
        home = Folder(path=earlier)
        if home.is_of_another_version:
            warn(
                f"search.warm_start: {earlier} was made under version {home.numerics} of the numerics, and this search "
                f"is under version {NUMERICS_VERSION}: their scores may differ by more than their configs do"
            )


def warn_of_comparison(folder: Path, compare: Path) -> None:
    """Warn of a comparison of what different versions made; tables that are of no study of ours have none."""
    versions = {one: Folder(path=one).numerics for one in (folder, compare) if (one / "study.yaml").is_file()}
    if len(set(versions.values())) > 1:
        said = " and ".join(f"{one} under {version}" for one, version in versions.items())
        warn(f"made under different versions of the numerics: {said}; part of what differs may come from that")
