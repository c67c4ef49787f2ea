"""Settings of the workload clip: a model of open_clip and a manifest of images."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from trainables.frozen import FieldError, Frozen
from trainables.workloads.settings import WorkloadSettings

HUB, FOLDER = "hf-hub:", "local-dir:"
"""Before the names of models on a hub, and of folders with a model; both bring their own weights."""


class Model(Frozen):
    """A model of open_clip and its pretrained weights."""

    name: str = Field(description="an architecture, a JSON config, hf-hub:ORG/REPO or local-dir:FOLDER")
    pretrained: str | None = Field(
        default=None, description='a tag of open_clip, a checkpoint file, or "random"; hubs and folders bring their own'
    )
    seed: int = Field(default=0, ge=0, description="of random weights")

    @model_validator(mode="after")
    def _says_its_weights(self) -> Self:
        brings_its_own = self.name.startswith((HUB, FOLDER))
        if self.pretrained is None and not brings_its_own:
            raise FieldError(
                "pretrained", "missing; a tag of open_clip, a checkpoint file, or random for weights that know nothing"
            )
        if self.pretrained is not None and brings_its_own:
            raise FieldError("pretrained", f"{self.pretrained} given; {self.name} brings its own weights; remove it")
        if self.seed and self.pretrained != "random":
            raise FieldError("seed", "only random weights have one; remove it")
        return self

    def with_whole_paths(self, folder: Path) -> "Model":
        """The same model with whole paths for files, which a user names as seen from `folder`."""
        named = {"name": self.name, "pretrained": self.pretrained or ""}
        files = {key: str(folder / one) for key, one in named.items() if one and (folder / one).is_file()}
        if self.name.startswith(FOLDER):
            files["name"] = f"{FOLDER}{folder / self.name.removeprefix(FOLDER)}"
        return self.model_copy(update=files)


class Clip(WorkloadSettings):
    """A model of open_clip on the images of a manifest."""

    name: Literal["clip"] = "clip"
    model: Model
    data: str = Field(description="the manifest, .parquet or .csv")
    crop: float = Field(
        default=0.9, gt=0, le=1, description="smallest share of an image that a training crop keeps; 1: no crops"
    )

    @property
    def title(self) -> str:
        """Name of the model."""
        name = self.model.name
        return Path(name).stem if name.endswith(".json") else name

    def with_whole_paths(self, folder: Path) -> Self:
        """The same settings with whole paths for the manifest and for files of the model."""
        placed = {"data": str(folder / self.data), "model": self.model.with_whole_paths(folder)}
        return self.model_copy(update=placed)

    def files(self) -> tuple[str, ...]:
        """The manifest and the files of the model that are named by their whole paths."""
        named = (self.data, self.model.name.removeprefix(FOLDER), self.model.pretrained or "")
        return tuple(one for one in named if Path(one).is_absolute())

    def has_pool(self) -> bool:
        """Whether the manifest has samples of the pool."""
        from trainables.workloads.clip.data import manifest  # pandas, which the settings themselves do without

        return manifest.has_pool(Path(self.data))
