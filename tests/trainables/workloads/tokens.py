"""A toy workload of a third family, for tests: a model that predicts the next of some tokens, from the token before.

A sequence of concept i goes on by steps of i + 1. A batch is a dict of two tensors of integers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from trainables.frozen import ConfigError, digest
from trainables.metrics import Score
from trainables.randomness import torch_seed
from trainables.runtime import Runtime
from trainables.workloads.anatomy import Anatomy, Parameter, Projection
from trainables.workloads.catalogue import Row
from trainables.workloads.identity import Identity, Scored
from trainables.workloads.prepared import Prepared
from trainables.workloads.settings import Subset, WorkloadSettings
from trainables.workloads.workload import Checkpoint, Layout, State

WORDS, WIDTH, OF_EACH = 11, 8, 12
CONCEPTS = tuple(f"new/{i}" for i in range(4))
OLD = len(CONCEPTS)
"""The concept of the pool and of the held-out set."""


class Tokens(WorkloadSettings):
    """A toy language model."""

    name: Literal["tokens"] = "tokens"
    length: int = Field(default=6, ge=3, description="tokens of a sequence")
    corpus: str = Field(default="text.jsonl", description="a file of the user's")

    def with_whole_paths(self, folder: Path) -> "Tokens":
        return self.model_copy(update={"corpus": str(folder / self.corpus)})

    def files(self) -> tuple[str, ...]:
        return (self.corpus,)


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch_seed(digest("tokens")):
            self.words = nn.Embedding(WORDS, WIDTH)
            self.inner = nn.Linear(WIDTH, WIDTH, bias=False)
            self.head = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        logits_BLV: Tensor = self.head(torch.relu(self.inner(self.words(tokens_BL))))
        return logits_BLV


class TokensWorkload:
    """The toy itself: ids count the sequences of a concept, those of the pool last."""

    def __init__(self, settings: Tokens, identity: Identity) -> None:
        self._length, self.identity = settings.length, identity

    def architecture(self) -> nn.Module:
        return _Model()

    def base(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in _Model().state_dict().items()}

    def pool(self) -> NDArray[np.int64]:
        return np.arange(OF_EACH * OLD, OF_EACH * (OLD + 1))

    def samples(self, concepts: Sequence[str]) -> NDArray[np.int64]:
        places = np.array(sorted(CONCEPTS.index(name) for name in concepts), dtype=np.int64)
        return (OF_EACH * places[:, None] + np.arange(OF_EACH)).reshape(-1)

    def batch(self, ids: NDArray[np.int64], rng: np.random.Generator) -> dict[str, Tensor]:
        """Sequences from a drawn token on, of which all but the last token are inputs."""
        steps = np.arange(self._length) * (ids // OF_EACH + 1)[:, None]
        tokens_BL = torch.from_numpy((rng.integers(0, WORDS, len(ids))[:, None] + steps) % WORDS)
        return {"inputs": tokens_BL[:, :-1], "labels": tokens_BL[:, 1:]}

    def example(self, batch_size: int) -> dict[str, Tensor]:
        zeros_BL = torch.zeros(batch_size, self._length - 1, dtype=torch.long)
        return {"inputs": zeros_BL, "labels": zeros_BL.clone()}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(model(batch["inputs"]).flatten(0, 1), batch["labels"].flatten())

    def after_step(self, model: nn.Module) -> None:
        pass

    def evaluate(self, model: nn.Module, subset: Subset | None = None) -> tuple[Score, ...]:
        assert subset is None
        return (
            self._score(model, "new", "adapt", self.samples(CONCEPTS)),
            self._score(model, "old", "holdout", self.pool()),
        )

    def _score(self, model: nn.Module, name: str, group: Literal["adapt", "holdout"], ids: NDArray[np.int64]) -> Score:
        batch = self.batch(ids, np.random.default_rng(7))
        with torch.inference_mode():
            right = (model(batch["inputs"]).argmax(-1) == batch["labels"]).float().mean()
        return Score(dataset=name, group=group, metric="next_token_accuracy", value=float(right), n=len(ids))

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:  # noqa: ARG002
        return ()

    def split(self, model: nn.Module) -> nn.Module:
        return model

    def fuse(self, state: State) -> dict[str, Tensor]:
        return dict(state)

    def export(self, state: State, folder: Path, layout: Layout) -> Checkpoint:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state), folder / "tokens.pt")
        return Checkpoint(loading='torch.load("FOLDER/tokens.pt")\n', hub_head="", notes=(f"it is for {layout}",))


def _identify(settings: Tokens, cache: Path) -> Identity:  # noqa: ARG001
    def parameter(name: str, part: Literal["embedding", "mlp", "head"], *shape: int) -> Parameter:
        layer = 0 if part == "mlp" else None
        return Parameter(name=f"{name}.weight", shape=shape, tower="decoder", layer=layer, part=part, bias=False)

    inner = Projection(
        name="inner",
        parameter="inner.weight",
        tower="decoder",
        layer=0,
        target="mlp_in",
        inputs=WIDTH,
        outputs=WIDTH,
    )
    return Identity(
        base=digest("tokens"),
        data=digest([settings.length, OF_EACH]),
        suite=digest([settings.length, OF_EACH, "next token"]),
        concepts=CONCEPTS,
        tests=(Scored(OF_EACH * len(CONCEPTS), WORDS), Scored(OF_EACH, WORDS)),
        pool_samples=OF_EACH,
        anatomy=Anatomy(
            parameters=(
                parameter("words", "embedding", WORDS, WIDTH),
                parameter("inner", "mlp", WIDTH, WIDTH),
                parameter("head", "head", WORDS, WIDTH),
            ),
            projections=(inner,),
        ),
    )


def _require_text(settings: Tokens, cache: Path) -> None:  # noqa: ARG001
    if not Path(settings.corpus).is_file():
        raise ConfigError(f"{settings.corpus}: is not there; bring it back")


def _prepare(settings: Tokens, runtime: Runtime, tell: Callable[[str], None]) -> Prepared:  # noqa: ARG001
    tell("cutting the text")
    return Prepared(f"rows of {settings.length} tokens")


ROW = Row(
    settings=Tokens,
    identify=_identify,
    open=lambda settings, identity, _: TokensWorkload(settings, identity),
    prepare=_prepare,
    require_data=_require_text,
)
