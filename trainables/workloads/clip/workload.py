"""Any open_clip model with two towers on any corpus of captioned images: the `Workload` of the CLIP family."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip import ClipLoss
from safetensors.torch import save_file
from torch import Tensor, nn

from trainables.metrics import Score
from trainables.workloads.clip import attention, text
from trainables.workloads.identity import Identity
from trainables.workloads.workload import Batch, State

if TYPE_CHECKING:
    from trainables.workloads.workload import Workload

MAX_LOGIT_SCALE = math.log(100)
_EVALUATION_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of training samples: images uint8 [N, H, W, 3] (mapped), tokens int16 [N, K, L], concept [N].

    `concept` indexes `concepts`; the pool has none, and -1 throughout.

    A caption row of zeros is none; every sample has at least one caption, and captions fill the rows from the first.
    """

    images: NDArray[np.uint8]
    tokens: NDArray[np.int16]
    concepts: tuple[str, ...]
    concept: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """One data set of the suite: images uint8 [N, H, W, 3], labels [N], one prompt per class as tokens [C, L]."""

    name: str
    group: Literal["adapt", "holdout"]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    prompts: Tensor


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All data of a workload: training segments, of which the last is the pool, and the test sets."""

    segments: tuple[Segment, ...]
    suite: tuple[EvaluationSet, ...]

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """First id of each segment, and the number of all samples."""
        return np.cumsum([0, *(len(segment.images) for segment in self.segments)])

    @cached_property
    def by_concept(self) -> dict[str, NDArray[np.int64]]:
        """Ids of each concept's training samples."""
        return {
            name: offset + np.flatnonzero(segment.concept == i)
            for segment, offset in zip(self.segments, self.offsets, strict=False)
            for i, name in enumerate(segment.concepts)
        }


class ClipWorkload:
    """An open_clip model and its corpus, which is loaded when it is first needed."""

    def __init__(
        self,
        *,
        identity: Identity,
        architecture: Callable[[], nn.Module],
        base: Callable[[], dict[str, Tensor]],
        corpus: Callable[[], Corpus],
        mean: Sequence[float],
        std: Sequence[float],
        model_config: Mapping[str, Any],
        tokenizer_files: Callable[[], Mapping[str, str]],
    ) -> None:
        self._identity = identity
        self._architecture = architecture
        self._base = base
        self._load = corpus
        self._preprocessing = {"mean": list(mean), "std": list(std)}
        self._model_config = model_config
        self._tokenizer_files = tokenizer_files
        self._mean, self._std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (mean, std))
        self._loss = ClipLoss()

    @cached_property
    def _corpus(self) -> Corpus:
        return self._load()

    @property
    def identity(self) -> Identity:
        """Digests, concepts and anatomy."""
        return self._identity

    def architecture(self) -> nn.Module:
        """A new open_clip model."""
        return self._architecture()

    def base(self) -> dict[str, Tensor]:
        """The pretrained weights."""
        return self._base()

    def pool(self) -> NDArray[np.int64]:
        """Ids of the pretraining samples."""
        return np.arange(*self._corpus.offsets[-2:])

    def samples(self, concepts: Sequence[str]) -> NDArray[np.int64]:
        """Ids of the training samples of some concepts."""
        return np.concatenate([self._corpus.by_concept[name] for name in sorted(concepts)])

    def batch(self, ids: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Images normalised to the model's mean and standard deviation, and one caption of each.

        The captions are stripped of padding and repeats here, on the CPU, so that no device waits to learn a length.
        """
        segments, offsets = self._corpus.segments, self._corpus.offsets
        at = np.searchsorted(offsets, ids, side="right") - 1
        draws = rng.random(len(ids))
        first = segments[0]
        images = np.empty((len(ids), *first.images.shape[1:]), dtype=np.uint8)
        tokens = np.empty((len(ids), first.tokens.shape[-1]), dtype=np.int16)
        for i in np.unique(at):
            here = at == i
            segment, local = segments[i], ids[here] - offsets[i]
            images[here] = segment.images[local]
            candidates = segment.tokens[local]
            count = (candidates[:, :, 0] != 0).sum(axis=1)
            tokens[here] = candidates[np.arange(len(local)), (draws[here] * count).astype(int)]
        captions = text.distinct(tokens)
        return Batch(self._normalised(images), *(torch.from_numpy(array) for array in captions))

    def example(self, batch_size: int) -> Batch:
        """Zeros in the model's input shapes: every sample with a caption of its own, as long as the context."""
        model = _towers(self._architecture())
        height, width = model.visual.image_size
        return Batch(
            images_BCHW=torch.zeros(batch_size, 3, height, width),
            tokens_UL=torch.zeros(batch_size, model.context_length, dtype=torch.long),
            caption_B=torch.arange(batch_size),
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Symmetric InfoNCE at the learnt temperature (arXiv 2103.00020, figure 3), by open_clip's own loss."""
        clip = _towers(model)
        images_BD = F.normalize(clip.encode_image(batch.images_BCHW), dim=-1)
        texts_UD = F.normalize(text.encode_text(clip, batch.tokens_UL), dim=-1)
        loss: Tensor = self._loss(images_BD, texts_UD.index_select(0, batch.caption_B), clip.logit_scale.exp())
        return loss

    def after_step(self, model: nn.Module) -> None:
        """Keep the logit scale within [0, ln 100] (arXiv 2103.00020, section 2.5, and open_clip's training loop)."""
        scale = _towers(model).logit_scale
        if scale.requires_grad:  # a temperature that does not train stays what it is
            with torch.no_grad():
                scale.clamp_(0, MAX_LOGIT_SCALE)

    def evaluate(self, model: nn.Module) -> tuple[Score, ...]:
        """Zero-shot accuracy: argmax over the cosines with one prompt per class."""
        device = next(model.parameters()).device
        model.eval()
        with torch.inference_mode():
            prompts = text.trimmed(torch.cat([test.prompts for test in self._corpus.suite]).numpy())
            texts = _in_batches(lambda tokens: text.encode_text(model, tokens), torch.from_numpy(prompts).to(device))
            texts = F.normalize(texts, dim=-1)
            sizes = [len(test.prompts) for test in self._corpus.suite]
            return tuple(
                self._score(model, test, classes_CD, device)
                for test, classes_CD in zip(self._corpus.suite, texts.split(sizes), strict=True)
            )

    def facts(self, kind: str) -> NDArray[np.generic]:
        """What the base model makes of each concept of the stream, in canonical order (`Identity.facts`).

        "loss" is the mean cross-entropy of a concept's training images over the prompts of all concepts, at the model's
        temperature; "image" the mean embedding of its training images, "text" that of its prompt, of length 1. The
        adaptation sets of the suite have the stream's concepts as their classes, in the same order.
        """
        model = self.architecture().eval()
        model.load_state_dict(self.base())
        with torch.inference_mode():
            prompts = torch.cat([test.prompts for test in self._corpus.suite if test.group == "adapt"])
            texts = F.normalize(_in_batches(lambda tokens: text.encode_text(model, tokens), prompts), dim=-1)
            if kind == "text":
                return texts.numpy()
            per_concept = [self._images_of(model, concept) for concept in self.identity.concepts]
            if kind == "image":
                return torch.stack([F.normalize(images.mean(dim=0), dim=0) for images in per_concept]).numpy()
            scale = _towers(model).logit_scale.exp()
            losses = [
                F.cross_entropy(scale * images @ texts.T, torch.full((len(images),), i))
                for i, images in enumerate(per_concept)
            ]
            return torch.stack(losses).numpy()

    def _images_of(self, model: nn.Module, concept: str) -> Tensor:
        """Embeddings [N, D] of a concept's training images, of length 1."""
        ids = self._corpus.by_concept[concept]
        at = np.searchsorted(self._corpus.offsets, ids, side="right") - 1
        local = ids - self._corpus.offsets[at]
        images = np.stack([self._corpus.segments[i].images[j] for i, j in zip(at, local, strict=True)])
        return F.normalize(_in_batches(_towers(model).encode_image, self._normalised(images)), dim=-1)

    def split(self, model: nn.Module) -> nn.Module:
        """Separate q, k, v projections."""
        return attention.split(model)

    def fuse(self, state: State) -> dict[str, Tensor]:
        """Back to open_clip's layout."""
        return attention.fuse(state)

    def export(self, state: State, folder: Path) -> None:
        """Write a folder that `open_clip.create_model_and_transforms("local-dir:FOLDER")` loads, with its tokenizer."""
        files = self._tokenizer_files()
        text_config = dict(self._model_config["text_cfg"])
        if files:
            text_config["hf_tokenizer_name"] = "."  # open_clip then reads the tokenizer of this folder
        config = {"model_cfg": {**self._model_config, "text_cfg": text_config}, "preprocess_cfg": self._preprocessing}
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {**files, "open_clip_config.json": json.dumps(config, indent=2)}.items():
            (folder / name).write_text(content)
        weights = folder / "open_clip_model.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights)
        weights.chmod((folder / "open_clip_config.json").stat().st_mode)  # safetensors makes it private

    def _score(self, model: nn.Module, test: EvaluationSet, classes_CD: Tensor, device: torch.device) -> Score:
        right = 0
        for begin in range(0, len(test.images), _EVALUATION_BATCH):
            images = self._normalised(test.images[begin : begin + _EVALUATION_BATCH]).to(device)
            guesses = (_towers(model).encode_image(images) @ classes_CD.T).argmax(dim=-1).cpu().numpy()
            right += int((guesses == test.labels[begin : begin + _EVALUATION_BATCH]).sum())
        n = len(test.images)
        return Score(dataset=test.name, group=test.group, metric="accuracy", value=right / n, n=n)

    def _normalised(self, images_BHWC: NDArray[np.uint8]) -> Tensor:
        pixels_BCHW = torch.tensor(images_BHWC).permute(0, 3, 1, 2).float()
        return (pixels_BCHW - self._mean) / self._std


def _towers(model: nn.Module) -> Any:
    """The model as what it is: a module with `encode_image`, `encode_text` and `logit_scale`."""
    return model


def _in_batches(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    return torch.cat([function(part) for part in inputs.split(_EVALUATION_BATCH)])


if TYPE_CHECKING:

    def _check(workload: ClipWorkload) -> Workload:
        return workload
