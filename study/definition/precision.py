"""Precisions of a study, settled once, when its folder is made: no name depends on the machine that plans or runs.

A study whose `resources` ask for GPUs is trained in bf16, over fp32 weights, and scored in TF32; others are trained and
scored in fp32. open_clip's own defaults are amp_bf16 with TF32 on. Scores in bf16 are off by up to a point or two of a
small data set, and TF32 is nearly as fast.
"""

from collections.abc import Iterator

from search_spaces.space import Scalar
from study.definition.study import StudyDefinition
from trainables.workloads.settings import EvaluationPrecision


def settled(definition: StudyDefinition, earlier: StudyDefinition | None) -> StudyDefinition:
    """A definition that says in which precision its trials train and are scored.

    Args:
        definition: may leave that open.
        earlier: what its folder was made by, which settles what is open; None for a new folder.
    """
    asks_for_gpus = definition.resources.is_on_gpu(gpus=0)
    training: Scalar = "bf16" if asks_for_gpus else "fp32"
    scoring: EvaluationPrecision = "tf32" if asks_for_gpus else "fp32"
    if earlier is not None and earlier.evaluation_precision is not None:
        training, scoring = earlier.fixed.get("precision", training), earlier.evaluation_precision
    return definition.model_copy(
        update={
            "fixed": {"precision": training, **definition.fixed},
            "evaluation_precision": definition.evaluation_precision or scoring,
        }
    )


def on_gpus(definition: StudyDefinition) -> StudyDefinition:
    """A definition whose trials take a GPU each, unless it says itself what they take."""
    resources = definition.resources
    if resources.is_on_gpu(gpus=0) or resources.gpus == 0:
        return definition
    return definition.model_copy(update={"resources": resources.model_copy(update={"gpus": 1.0})})


def training_precisions(definition: StudyDefinition) -> tuple[str, ...]:
    """The precisions in which trials of a study train, each once."""
    return tuple(sorted({str(value) for value in _of_trials(definition)}))


def _of_trials(definition: StudyDefinition) -> Iterator[Scalar]:
    spaces = definition.grid if definition.search is None else definition.search.spaces
    for axes in spaces or ():
        said = axes.get("precision", definition.fixed.get("precision", "fp32"))
        yield from said if isinstance(said, list) else [said]


def slow_on_gpus(definition: StudyDefinition) -> str | None:
    """A warning for a study that trains in fp32 on GPUs; None where it does not."""
    if "fp32" not in training_precisions(definition):
        return None
    return (
        "trials train in fp32 on GPUs, without their tensor cores, which takes six to eight times as long as "
        "`fixed: {precision: bf16}`; a folder keeps the precision that it was made with"
    )
