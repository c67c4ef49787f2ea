"""Settings of workloads, which users write: a model and its data.

Each workload has a class of its own in its folder, and `catalogue` lists them.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from trainables.frozen import Frozen


class WorkloadSettings(Frozen):
    """Settings of one workload. The methods here are for a workload without files of the user's.

    Attributes:
        name: of the workload, the same for all its settings.
    """

    name: str

    @property
    def title(self) -> str:
        """Name of the model, for the card of an export."""
        return f"The model of the workload {self.name}"

    def with_whole_paths(self, folder: Path) -> Self:  # noqa: ARG002
        """The same settings with whole paths for files, which a user names as seen from `folder`."""
        return self

    def files(self) -> tuple[str, ...]:
        """Files and folders, by their whole paths, that a process needs to open the workload."""
        return ()

    def has_pool(self) -> bool:
        """Whether there are pretraining samples to replay, as far as it can be told without opening the model."""
        return True


class Subset(Frozen):
    """A part of the test samples, drawn once for a whole study, that is scored in place of all of them."""

    later: ClassVar[frozenset[str]] = frozenset({"least"})

    share: float = Field(gt=0, lt=1, description="of a data set's test images")
    least: int = Field(default=300, ge=1, description="test images of a data set, and two a class, whatever the share")
    seed: int = Field(default=0, ge=0, description="of the draw")

    def size(self, samples: int, classes: int) -> int:
        """The number of a data set's test samples that are scored, as in the code of arXiv 2408.14471; of a few all."""
        return min(samples, max(2 * classes, self.least, int(self.share * samples)))


EvaluationPrecision = Literal["fp32", "tf32", "bf16"]
"""The type of the matrix products in scoring: tf32 is fp32 with inputs of 10 bits on GPUs, and fp32 on CPUs."""


class Evaluation(Frozen):
    """How weights are scored; every part of it moves scores, so each enters their names."""

    subset: Subset | None = Field(default=None, description="the test samples that are scored; null: all")
    precision: EvaluationPrecision = Field(default="fp32", description="type of the matrix products")

    @property
    def of_all(self) -> "Evaluation":
        """The same on all test samples."""
        return self.model_copy(update={"subset": None})


PLAIN = Evaluation()
"""All test samples, in fp32."""
