"""Tokenizers of open_clip models, found on this machine alone and loaded when the first text is read."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from trainables.frozen import ConfigError
from trainables.workloads.clip import hub
from trainables.workloads.clip.architectures import Architecture, context_length
from trainables.workloads.clip.settings import FOLDER

_CHUNK = 4096


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """The tokenizer of an architecture.

    Attributes:
        model: the architecture's name, for messages.
        name: identifies the function of the tokenizer, in keys.
        length: tokens of a text: the full context.
        vocabulary: the text tower's number of tokens.
        source: the folder or the hub's name of a tokenizer of transformers; None: open_clip's own.
        arguments: of its class in open_clip.
    """

    model: str
    name: str
    length: int
    vocabulary: int
    source: Path | str | None
    arguments: Mapping[str, Any]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens [N, L] of texts.

        Raises:
            ConfigError: the text tower has no such token.
        """
        parts = [np.zeros((0, self.length), dtype=np.int32)]
        for begin in range(0, len(texts), _CHUNK):
            tokens: torch.Tensor = self._loaded(list(texts[begin : begin + _CHUNK]))
            parts.append(tokens.numpy().astype(np.int32))
        tokens_NL = np.concatenate(parts)
        if tokens_NL.size and tokens_NL.max() >= self.vocabulary:
            raise ConfigError(
                f"model: {self.model}: its tokenizer made token {tokens_NL.max()} of a text, and its text tower has "
                f"{self.vocabulary} (vocab_size); name the tokenizer that it was trained with (hf_tokenizer_name)"
            )
        return tokens_NL

    def cut(self, texts: Sequence[str], tokens_NL: NDArray[np.int32]) -> int:
        """The number of texts that are longer than the context, so that their tokens lack the end.

        Texts that may be too long are tokenised again at a greater length, where they have other tokens or more.
        """
        if not len(texts):
            return 0
        padding = int(self._loaded([""], self.length + 1)[0, -1])
        full = np.flatnonzero(tokens_NL[:, max(0, self.length - 2)] != padding)  # the last may be an end that pads, too
        count = 0
        for begin in range(0, len(full), _CHUNK):
            rows = full[begin : begin + _CHUNK]
            longer = self._loaded([texts[i] for i in rows], self.length + 1).numpy()
            more, others = longer[:, -1] != padding, (longer[:, :-1] != tokens_NL[rows]).any(axis=1)
            count += int((more | others).sum())
        return count

    @cached_property
    def _loaded(self) -> Any:
        if self.source is None:
            return open_clip.SimpleTokenizer(context_length=self.length, **self.arguments)
        try:
            return open_clip.tokenizer.HFTokenizer(
                str(self.source), context_length=self.length, local_files_only=True, **self.arguments
            )
        except Exception as error:  # transformers says what it refuses by errors of any type
            said = " ".join(f"{error}".split())[:300]
            raise ConfigError(
                f"model: {self.model}: its tokenizer {self.source} cannot be read: {said}; `retune fetch STUDY` "
                "downloads what is on the Hugging Face hub"
            ) from error

    def files(self) -> dict[str, str]:
        """A tokenizer of transformers as files by name, for a folder that open_clip reads; empty for its own."""
        return {} if self.source is None else _saved(self._loaded)

    def hub_files(self) -> dict[str, str]:
        """The tokenizer's files for a hub, where open_clip puts its own as one of transformers (`push_to_hf_hub`).

        Here they are made from the vocabulary that open_clip ships, so nothing is fetched. There are none if the
        tokenizer has settings that transformers lacks.
        """
        if self.source is not None:
            return self.files()
        return {} if self.arguments else _saved(_of_transformers(self._loaded, self.length))


def _saved(tokenizer: Any) -> dict[str, str]:
    """The files that a tokenizer writes, by name."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.json"))}


def _of_transformers(own: Any, length: int) -> Any:
    """The own tokenizer of open_clip as one of transformers, which has other names for start and end."""
    from transformers import CLIPTokenizer

    *words, _, _ = own.encoder
    vocabulary = {name: i for i, name in enumerate((*words, "<|startoftext|>", "<|endoftext|>"))}
    return CLIPTokenizer(vocab=vocabulary, merges=list(own.bpe_ranks), model_max_length=length)


def find(architecture: Architecture, vocabulary: int) -> Tokenizer:
    """The tokenizer of an architecture; `vocabulary` is its text tower's number of tokens.

    Raises:
        ConfigError: it is not on this machine.
    """
    text, length = architecture.text, context_length(architecture)
    arguments = dict(text.get("tokenizer_kwargs") or {})
    repository = text.get("hf_tokenizer_name")
    if not repository:
        name = f"open_clip-{length}{json.dumps(arguments, sort_keys=True) if arguments else ''}"
        source: Path | str | None = None
    else:
        arguments |= {"tokenizer_mode": text.get("tokenizer_mode")}
        source = _source(architecture, repository)
        # A folder can hold anything, so what lies in it identifies the tokenizer; a name of the hub is one tokenizer.
        of = _content(source) if isinstance(source, Path) else repository
        name = f"{of}-{length}{json.dumps(arguments, sort_keys=True)}"
        if isinstance(source, str) and hub.cached_folder(source, "tokenizer_config.json", *_VOCABULARIES) is None:
            raise ConfigError(hub.absent(architecture.name, f"its tokenizer {source}", source))
    return Tokenizer(
        model=architecture.name,
        name=name,
        length=length,
        vocabulary=vocabulary,
        source=source,
        arguments=arguments,
    )


_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")


def _source(architecture: Architecture, repository: str) -> Path | str:
    folder = hub.local(repository, architecture.folder)
    if folder is not None:
        return folder
    # In a folder of a model open_clip reads the tokenizer from there, whatever the config calls it.
    return architecture.folder or repository if architecture.name.startswith(FOLDER) else repository


def _content(folder: Path) -> str:
    """Digest of the files that make a tokenizer."""
    made = sha256()
    for path in sorted({path for pattern in hub.TOKENIZER_FILES for path in folder.glob(pattern)}):
        made.update(path.name.encode() + b"\0" + sha256(path.read_bytes()).digest())
    return made.hexdigest()[:16]
