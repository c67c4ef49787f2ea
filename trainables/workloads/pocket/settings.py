"""Settings of the pocket benchmark."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from trainables.workloads.settings import WorkloadSettings

Size = Literal["s", "m"]


class Pocket(WorkloadSettings):
    """The embedded benchmark: procedural images with captions and a small pretrained CLIP."""

    later: ClassVar[frozenset[str]] = frozenset({"size", "world"})

    name: Literal["pocket"] = "pocket"
    size: Size = Field(default="s", description="of the model: s has 0.43 million parameters, m has 1.4 million")
    pool: int = Field(default=16_000, ge=256, le=1_000_000, description="pretraining samples available for replay")
    world: str | None = Field(
        default=None,
        description="a folder with weights that were pretrained on another draw of the world; null: the shipped ones",
    )

    @property
    def title(self) -> str:
        """Name of the model."""
        return "The pocket model of retune" if self.size == "s" else f"The pocket model of retune, size {self.size}"

    def with_whole_paths(self, folder: Path) -> Self:
        """The same settings with a whole path for the folder of another world."""
        return self if self.world is None else self.model_copy(update={"world": str(folder / self.world)})

    def files(self) -> tuple[str, ...]:
        """The folder of another world."""
        return () if self.world is None else (self.world,)
