"""Any open_clip model with two towers on any corpus of captioned images: the `Workload` of the CLIP family."""

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from trainables.files import whole
from trainables.frozen import digest
from trainables.metrics import Score
from trainables.workloads.clip import attention, text, towers
from trainables.workloads.clip.batch import WHOLE_IMAGES, ClipBatch
from trainables.workloads.clip.data.corpus import Corpus, Segment
from trainables.workloads.clip.data.crops import cropped, random_crops
from trainables.workloads.clip.data.pixels import Images
from trainables.workloads.clip.evaluation import Classification, Encoders, evaluate, mean_of_prompts, part, products_in
from trainables.workloads.clip.export import checkpoint
from trainables.workloads.clip.losses import contrastive_loss
from trainables.workloads.identity import Identity
from trainables.workloads.settings import PLAIN, Evaluation, EvaluationPrecision
from trainables.workloads.workload import Checkpoint, Layout, State

if TYPE_CHECKING:
    from trainables.workloads.workload import Workload

MAX_LOGIT_SCALE = math.log(100)
_EVALUATION_BATCH = 256


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
        hub_tokenizer: Callable[[], Mapping[str, str]] = dict,
        text_config: Path | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        crop: float = 1.0,
        loss: Literal["clip", "siglip"] = "clip",
    ) -> None:
        self._identity = identity
        self._architecture = architecture
        self._base = base
        self._load = corpus
        self._preprocessing = {**(preprocessing or {}), "mean": list(mean), "std": list(std)}
        self._model_config = model_config
        self._tokenizer_files = tokenizer_files
        self._hub_tokenizer = hub_tokenizer
        self._text_config = text_config
        self._mean, self._std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (mean, std))
        self._crop = crop
        self._loss = contrastive_loss(loss)

    @cached_property
    def _corpus(self) -> Corpus:
        return self._load()

    @property
    def identity(self) -> Identity:
        """Digests, concepts and anatomy."""
        return self._identity

    def architecture(self) -> nn.Module:
        """A new open_clip model with attention of our own: the same function, under the same names (`attention`)."""
        return attention.own(self._architecture())

    def base(self) -> dict[str, Tensor]:
        """The pretrained weights."""
        return self._base()

    def pool(self) -> NDArray[np.int64]:
        """Ids of the pretraining samples."""
        return np.arange(*self._corpus.offsets[-2:])

    def samples(self, concepts: Sequence[str]) -> NDArray[np.int64]:
        """Ids of the training samples of some concepts."""
        return np.concatenate([self._corpus.by_concept[name] for name in sorted(concepts)])

    def batch(self, ids: NDArray[np.int64], rng: np.random.Generator) -> ClipBatch:
        """Images, one caption of each, and a crop of each where the workload crops.

        The captions are stripped of padding and repeats here, on the CPU, so that no device waits to learn a length.
        """
        captions = text.distinct(self._corpus.captions(ids, rng.random(len(ids))))
        crops_B4 = random_crops(len(ids) if self._crop < 1 else 0, self._crop, rng)
        images_BCHW = _channels_first(self._corpus.images(ids))
        return ClipBatch(images_BCHW, *(torch.from_numpy(array) for array in (*captions, crops_B4)))

    def example(self, batch_size: int) -> ClipBatch:
        """Zeros in the model's input shapes: every sample with a caption of its own, as long as the context."""
        height, width, length = self._sizes
        return ClipBatch(
            images_BCHW=torch.zeros(batch_size, 3, height, width, dtype=torch.uint8),
            tokens_UL=torch.zeros(batch_size, length, dtype=torch.long),
            caption_B=torch.arange(batch_size),
        )

    @cached_property
    def _sizes(self) -> tuple[int, int, int]:
        """Height and width of an image, and the tokens of a caption."""
        with torch.device("meta"):
            model = _towers(self._architecture())
        return (*_both(model.visual.image_size), int(model.context_length))

    def pixels(self, batch: ClipBatch) -> Tensor:
        """The images of a batch as inputs of the model [B, C, H, W]: cropped, and normalised to mean and deviation."""
        return self._normalised(batch.images_BCHW, batch.crops_B4)

    def loss(self, model: nn.Module, batch: ClipBatch) -> Tensor:
        """The loss that the model was pretrained with, by open_clip's own code (`losses`)."""
        clip = _towers(model)
        images_BD = F.normalize(clip.encode_image(self.pixels(batch)), dim=-1)
        texts_UD = F.normalize(text.encode_text(clip, batch.tokens_UL), dim=-1)
        return self._loss(images_BD, texts_UD.index_select(0, batch.caption_B), clip)

    def after_step(self, model: nn.Module) -> None:
        """Keep the logit scale within [0, ln 100] (arXiv 2103.00020, section 2.5, and open_clip's training loop)."""
        scale = _towers(model).logit_scale
        if scale.requires_grad:  # a temperature that does not train stays what it is
            with torch.no_grad():
                scale.clamp_(0, MAX_LOGIT_SCALE)

    def evaluate(self, model: nn.Module, evaluation: Evaluation = PLAIN) -> tuple[Score, ...]:
        """Zero-shot scores on every test set, or on a subset of each (`evaluation`)."""
        model.eval()
        subset = evaluation.subset
        suite = self._corpus.suite if subset is None else tuple(part(test, subset) for test in self._corpus.suite)
        with torch.inference_mode():
            return evaluate(suite, self._encoders(model, evaluation.precision))

    def scored_on(self, dataset: str) -> "ClipWorkload":
        """The same model and training data with a suite of one data set."""
        only = copy.copy(self)
        only._load = lambda: replace(
            self._corpus, suite=tuple(test for test in self._corpus.suite if test.name == dataset)
        )
        only.__dict__.pop("_corpus", None)
        only._identity = replace(self._identity, suite=digest({"suite": self._identity.suite, "only": dataset}))
        return only

    def facts(self, kind: str) -> NDArray[np.generic]:
        """Facts that the base model gives about each concept of the stream, in canonical order (`Identity.facts`).

        "loss" is the mean cross-entropy of a concept's training images over the prompts of all concepts, at the model's
        temperature; "image" the mean embedding of its training images, "text" that of its prompts, of length 1; a
        concept of a data set without prompts is read by the captions of its training images.
        """
        model = self.architecture().eval()
        model.load_state_dict(self.base())
        encoders = self._encoders(model)
        with torch.inference_mode():
            texts = self._concepts(encoders)
            if kind == "text":
                return texts.numpy()
            per_concept = [self._images_of(encoders, concept) for concept in self.identity.concepts]
            if kind == "image":
                return torch.stack([F.normalize(images.mean(dim=0), dim=0) for images in per_concept]).numpy()
            scale = _towers(model).logit_scale.exp()
            losses = [
                F.cross_entropy(scale * images @ texts.T, torch.full((len(images),), i))
                for i, images in enumerate(per_concept)
            ]
            return torch.stack(losses).numpy()

    def _concepts(self, encoders: Encoders) -> Tensor:
        """Embeddings [C, D] of the stream's concepts."""
        tests = {test.name: test for test in self._corpus.suite if test.group == "adapt"}
        found = []
        for segment in self._corpus.segments:
            if not segment.concepts:
                continue
            test = tests[segment.concepts[0].partition("/")[0]]
            if isinstance(test, Classification):
                of_class = dict(zip(test.classes, test.prompts, strict=True))
                prompts = np.stack([of_class[name.partition("/")[2]] for name in segment.concepts])
                texts = encoders.texts(prompts.reshape(-1, prompts.shape[-1]))
                found.append(mean_of_prompts(texts.unflatten(0, prompts.shape[:2])))
            else:
                found.append(
                    torch.stack([self._captions_of(encoders, segment, i) for i in range(len(segment.concepts))])
                )
        return torch.cat(found)

    def _captions_of(self, encoders: Encoders, segment: Segment, concept: int) -> Tensor:
        """Mean embedding [D] of the first captions of a concept's training samples."""
        samples = np.flatnonzero(segment.concept == concept)
        return F.normalize(encoders.texts(np.asarray(segment.tokens[segment.first[samples]])).mean(dim=0), dim=0)

    def _images_of(self, encoders: Encoders, concept: str) -> Tensor:
        """Embeddings [N, D] of a concept's training images, of length 1."""
        return F.normalize(torch.cat([*encoders.images(self._corpus.images(self._corpus.by_concept[concept]))]), dim=-1)

    def _encoders(self, model: nn.Module, precision: EvaluationPrecision = "fp32") -> Encoders:
        """The towers of a model, on the device that it is on; embeddings are fp32 whatever they are products of."""
        clip, device = _towers(model), next(model.parameters()).device

        def encoded(tower: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
            with products_in(precision, device.type):
                return tower(inputs).float()

        def images(some: Images) -> Iterator[Tensor]:
            for begin in range(0, len(some), _EVALUATION_BATCH):
                rows = np.arange(begin, min(begin + _EVALUATION_BATCH, len(some)))
                yield encoded(clip.encode_image, self._normalised(_channels_first(some[rows]).to(device)))

        def texts(tokens: NDArray[np.integer]) -> Tensor:
            rows = torch.from_numpy(text.trimmed(tokens).astype(np.int64)).to(device)
            parts = [encoded(partial(text.encode_text, clip), part) for part in rows.split(_EVALUATION_BATCH)]
            return F.normalize(torch.cat(parts), dim=-1)

        return Encoders(images=images, texts=texts)

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:
        """The blocks of both towers, whatever library they are of."""
        return towers.blocks(model)

    def split(self, model: nn.Module) -> nn.Module:
        """The model with separate q, k, v projections, changed in place."""
        return attention.split(model)

    def fuse(self, state: State) -> dict[str, Tensor]:
        """The state in open_clip's layout."""
        return attention.fuse(state)

    def export(self, state: State, folder: Path, layout: Layout) -> Checkpoint:
        """Write a folder that `open_clip.create_model_and_transforms("local-dir:FOLDER")` loads, with its tokenizer.

        For a hub open_clip's own tokenizer is written too, as one of transformers. A text tower of transformers is
        built from its config.json; one that is on no hub lies in FOLDER/text, by its whole path, since open_clip would
        look for another in the working directory.
        """
        tokenizer = self._tokenizer_files()
        text_config = dict(self._model_config["text_cfg"])
        if tokenizer:
            text_config.setdefault("hf_tokenizer_name", ".")  # open_clip then reads the tokenizer of this folder
        if self._text_config is not None:
            tower = (folder / "text").resolve()
            tower.mkdir(parents=True, exist_ok=True)
            (tower / "config.json").write_bytes(self._text_config.read_bytes())
            text_config["hf_model_name"] = str(tower)
        config = {"model_cfg": {**self._model_config, "text_cfg": text_config}, "preprocess_cfg": self._preprocessing}
        folder.mkdir(parents=True, exist_ok=True)
        files = {**tokenizer, "open_clip_config.json": json.dumps(config, indent=2)}
        files |= self._hub_tokenizer() if layout == "hf" else {}
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        with whole(folder / "open_clip_model.safetensors") as weights:
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights)
        return checkpoint(text_config, files, layout)

    def _normalised(self, images_BCHW: Tensor, crops_B4: Tensor = WHOLE_IMAGES) -> Tensor:
        """Pixels in fp32 whatever the precision of the model: a crop's corners in bf16 are half a pixel off."""
        with _without_autocast(images_BCHW.device):
            pixels_BCHW = images_BCHW.float()
            if len(crops_B4):
                pixels_BCHW = cropped(pixels_BCHW, crops_B4)
            return (pixels_BCHW - self._mean.to(pixels_BCHW.device)) / self._std.to(pixels_BCHW.device)


def _without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """A context in which operations on a device keep the types of what they are given."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def _channels_first(images_BHWC: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images_BHWC).permute(0, 3, 1, 2)


def _both(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _towers(model: nn.Module) -> Any:
    """The model without a static type: a module with `encode_image`, `encode_text` and `logit_scale`."""
    return model


if TYPE_CHECKING:

    def _check(workload: ClipWorkload) -> Workload:
        return workload
