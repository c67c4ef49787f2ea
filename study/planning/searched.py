"""The trials of a search: the configs that it has asked for so far on their blocks, and the anchors of these blocks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces.search import SearchSpace
from search_spaces.space import Scalar
from study.definition.study import StudyDefinition
from study.planning.decisions import Decisions, Suggestion
from study.planning.trials import JOINT, Trial, as_run, fixed_axes, joint_anchors, require_steps_once
from trainables.config import TrialConfig
from trainables.frozen import ConfigError, digest


def space_of(definition: StudyDefinition, source: str) -> SearchSpace:
    """The space that a study searches.

    Raises:
        ConfigError: it is not valid, or there is nothing to search.
    """
    assert definition.search is not None
    require_steps_once(definition, definition.search.spaces, source)
    return SearchSpace(
        definition.search.spaces, fixed=fixed_axes(definition), workload=definition.workload, source=source
    )


def search_digest(definition: StudyDefinition) -> str:
    """A digest of what a search was asked for; while it is the same, a search that has ended stays ended."""
    whole = definition.canonical()
    asked = {name: whole[name] for name in _ASKED}
    if definition.evaluation.precision != "fp32":  # what was asked for before there was a choice keeps its name
        asked["evaluation_precision"] = definition.evaluation_precision
    return digest(asked)[:12]


_ASKED = ("search", "early_stopping", "blocks", "fixed", "subset", "lr_scaling", "budget", "joint")
"""Keys of a definition that say which trials a search has, and what it sees of them."""


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """A suggestion with its config on block (0, 0); the config is None if the values make none."""

    suggestion: Suggestion
    config: TrialConfig | None

    @property
    def id(self) -> str:
        """The config's id; empty if there is no config."""
        return self.suggestion.config

    @property
    def runs(self) -> bool:
        """Whether it has trials in this study."""
        return self.config is not None and not self.suggestion.refused and not self.suggestion.known


def config_at(
    values: Mapping[str, Scalar], definition: StudyDefinition, space: SearchSpace, source: str
) -> TrialConfig | None:
    """The config of a point as it runs in this study; None if the values do not go together."""
    try:
        return as_run(space.config(values), definition, source)
    except ConfigError:
        return None


def suggested(definition: StudyDefinition, space: SearchSpace, decisions: Decisions, source: str) -> list[Suggested]:
    """The suggestions that make the same configs as when they were noted; those of other definitions are left out."""
    found = (
        Suggested(suggestion=one, config=config_at(one.values, definition, space, source))
        for one in decisions.suggested
    )
    return [one for one in found if one.id == ("" if one.config is None else one.config.config_id)]


def searched(definition: StudyDefinition, source: str, decisions: Decisions) -> tuple[Trial, ...]:
    """All trials of a search so far: anchors first, then configs in the order in which they were suggested."""
    assert definition.search is not None
    space = space_of(definition, source)
    found = suggested(definition, space, decisions, source)
    runs = {one.id: one.config for one in found if one.runs and one.config is not None}
    configs, numbers = list(runs.values()), [blocks_of(definition, name, decisions) for name in runs]
    return (
        *joint_on(range(max(numbers, default=definition.search.first_blocks)), definition, space, source),
        *(
            trial
            for config, number in zip(configs, numbers, strict=True)
            for trial in trials_of(config, definition, range(number))
        ),
    )


def blocks_of(definition: StudyDefinition, config: str, decisions: Decisions) -> int:
    """How many of the study's blocks a config runs on."""
    assert definition.search is not None
    return min(len(definition.blocks), max(definition.search.first_blocks, decisions.blocks.get(config, 1)))


def joint_on(blocks: range, definition: StudyDefinition, space: SearchSpace, source: str) -> Iterator[Trial]:
    """The joint anchor on some of the study's blocks."""
    anchors = joint_anchors(definition, space.config(space.first.values), source)
    for i in blocks:
        for config in anchors:
            yield Trial(kind="anchor", method=JOINT, config=on_block(config, definition, i))


def trials_of(config: TrialConfig, definition: StudyDefinition, blocks: range) -> Iterator[Trial]:
    """A config on some of the study's blocks."""
    for i in blocks:
        yield Trial(kind="trial", method=config.recipe.method.name, config=on_block(config, definition, i))


def on_block(config: TrialConfig, definition: StudyDefinition, i: int) -> TrialConfig:
    """A config on one of the study's blocks."""
    block = definition.blocks[i]
    return config.model_copy(update={"seed": block.seed, "order": block.order})
