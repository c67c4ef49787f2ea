"""Settings of the pocket benchmark."""

from typing import Literal

from pydantic import Field

from trainables.workloads.settings import WorkloadSettings


class Pocket(WorkloadSettings):
    """The embedded benchmark: procedural images with captions and a small pretrained CLIP."""

    name: Literal["pocket"] = "pocket"
    pool: int = Field(default=16_000, ge=256, le=1_000_000, description="pretraining samples available for replay")

    @property
    def title(self) -> str:
        """Name of the model."""
        return "The pocket model of retune"
