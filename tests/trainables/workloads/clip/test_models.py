"""Models by config: weights only of what is named, converted once, named by what they are; and what is refused."""

import io
import json
import logging
import logging.handlers
import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.study import zygote
from tests.trainables.workloads.clip.families import OWN_TEXT, VIT, WORDS
from trainables.frozen import ConfigError
from trainables.runtime import Runtime
from trainables.workloads.clip.models import OpenModel, fetch_model, open_model
from trainables.workloads.clip.settings import Model
from trainables.workloads.pocket.export import tokenizer_files

CONFIG: dict[str, Any] = {"embed_dim": 10, "vision_cfg": VIT, "text_cfg": OWN_TEXT}


@pytest.fixture(autouse=True)
def _random_state_is_untouched() -> Iterator[None]:
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, whatever this machine has; and no network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("socket.socket.connect", _no_network)
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    return folder


def _no_network(*_: object) -> None:
    raise AssertionError("the network was asked")


def in_hub(folder: Path, repository: str, files: dict[str, str]) -> Path:
    """A repository in the hub's cache."""
    own = folder / f"models--{repository.replace('/', '--')}"
    snapshot = own / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text("abc")
    for name, content in files.items():
        (snapshot / name).write_text(content)
    return snapshot


def config(folder: Path, **changes: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps({**CONFIG, **changes}))
    return path


def random(folder: Path, seed: int = 0, **changes: Any) -> OpenModel:
    return open_model(Model(name=str(config(folder, **changes)), pretrained="random", seed=seed), folder / "cache")


def refused(model: Model, folder: Path) -> str:
    """The message, which is one line and keeps no file."""
    with pytest.raises(ConfigError) as caught:
        open_model(model, folder / "cache")
    assert "\n" not in str(caught.value)
    assert not list((folder / "cache").glob("models/*.safetensors"))
    return str(caught.value)


def from_file(folder: Path, file: str, **changes: Any) -> Model:
    return Model(name=str(config(folder, **changes)), pretrained=str(folder / file))


def drawn(folder: Path, **changes: Any) -> dict[str, Tensor]:
    """The tensors of random weights, whose conversion is then forgotten."""
    other = folder / "drawn"
    other.mkdir()
    return {name: tensor.clone() for name, tensor in random(other, **changes).base().items()}


class TestRandom:
    def test_same_seed_same_bits(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        one, other = random(tmp_path / "a"), random(tmp_path / "b")
        assert one.base_digest == other.base_digest
        assert all(torch.equal(one.base()[name], tensor) for name, tensor in other.base().items())

    def test_another_seed_is_another_model(self, tmp_path: Path) -> None:
        assert random(tmp_path).base_digest != random(tmp_path, seed=1).base_digest

    def test_a_module_takes_the_weights(self, tmp_path: Path) -> None:
        model = random(tmp_path)
        module, base = model.architecture(), model.base()
        module.load_state_dict(base)
        assert {tensor.dtype for tensor in base.values()} == {torch.float32}
        assert {each.name for each in model.anatomy.parameters} == base.keys()

    def test_what_was_drawn_once_is_kept(self, tmp_path: Path) -> None:
        first = random(tmp_path)
        file = tmp_path / "cache" / "models" / f"{first.base_digest}.safetensors"
        written = file.stat().st_mtime_ns
        open_model.cache_clear()
        assert random(tmp_path).base_digest == first.base_digest
        assert file.stat().st_mtime_ns == written
        open_model.cache_clear()
        file.write_bytes(file.read_bytes()[:100])  # such as after a full disk: made again
        assert random(tmp_path).base_digest == first.base_digest
        load_file(file)


def convert(name: Path, cache: Path, start: Barrier, digest: Path) -> None:
    """Open a model of random weights when the other process does, and write its digest."""
    start.wait(120)
    digest.write_text(open_model(Model(name=str(name), pretrained="random"), cache).base_digest)


class TestDigest:
    def test_it_is_that_of_the_file(self, tmp_path: Path) -> None:
        from hashlib import sha256

        model = random(tmp_path)
        file = tmp_path / "cache" / "models" / f"{model.base_digest}.safetensors"
        assert sha256(file.read_bytes()).hexdigest() == model.base_digest
        with safe_open(file, framework="pt") as opened:
            assert set(opened.metadata()) == {"model_cfg"}

    def test_equal_weights_under_another_activation_are_another_model(self, tmp_path: Path) -> None:
        save_file(drawn(tmp_path), tmp_path / "weights.safetensors")
        digests = []
        for quick in (False, True):
            model = open_model(from_file(tmp_path, "weights.safetensors", quick_gelu=quick), tmp_path / f"cache{quick}")
            digests.append(model.base_digest)
            open_model.cache_clear()
        assert len(set(digests)) == 2

    def test_two_processes_that_convert_at_once_agree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()  # what makes processes is asked over a socket
        name = config(tmp_path)
        said = [tmp_path / "one", tmp_path / "other"]
        start = zygote.barrier(2)
        processes = [zygote.forked(convert, name, tmp_path / "cache", start, digest) for digest in said]
        for process in processes:
            process.join(300)
        digests = {path.read_text() for path in said}
        assert [process.exitcode for process in processes] == [0, 0]
        assert digests == {random(tmp_path).base_digest}
        assert not list((tmp_path / "cache" / "models").glob(".making-*"))


def _wrapped(state: dict[str, Tensor]) -> dict[str, object]:
    return {"epoch": 3, "name": "x", "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}


SAVED: dict[str, tuple[str, Callable[[dict[str, Tensor], Path], object]]] = {
    "safetensors": ("w.safetensors", save_file),
    "pt": ("w.pt", torch.save),
    "bin": ("w.bin", torch.save),
    "of a training run": ("w.pt", lambda state, path: torch.save(_wrapped(state), path)),
    "half precision": ("w.pt", lambda state, path: torch.save({k: v.half() for k, v in state.items()}, path)),
}


@pytest.mark.parametrize("kind", SAVED)
def test_checkpoint(kind: str, tmp_path: Path) -> None:
    state = drawn(tmp_path)
    file, save = SAVED[kind]
    save(state, tmp_path / file)
    got = open_model(from_file(tmp_path, file), tmp_path / "cache").base()
    assert got.keys() == state.keys()
    for name, tensor in state.items():
        expected = tensor.half().float() if kind == "half precision" else tensor
        assert torch.equal(got[name], expected)


def test_position_embeddings_are_resized_as_open_clip_does(tmp_path: Path) -> None:
    state = drawn(tmp_path)
    save_file(state, tmp_path / "w.safetensors")
    larger = {"vision_cfg": {**VIT, "image_size": 32}, "text_cfg": {**OWN_TEXT, "context_length": 16}}
    model = from_file(tmp_path, "w.safetensors", **larger)
    got = open_model(model, tmp_path / "cache")
    with torch.random.fork_rng(devices=[]):
        reference = open_clip.CLIP(10, **larger)
    open_clip.load_checkpoint(reference, str(tmp_path / "w.safetensors"))
    assert all(torch.equal(got.base()[name], tensor) for name, tensor in reference.state_dict().items())
    assert got.preprocessing.size == (32, 32)


class TestSaidOfACheckpoint:
    def test_of_another_architecture(self, tmp_path: Path) -> None:
        save_file(drawn(tmp_path, vision_cfg={**VIT, "layers": 3, "width": 24}), tmp_path / "w.safetensors")
        said = refused(from_file(tmp_path, "w.safetensors"), tmp_path)
        assert "w.safetensors holds another architecture (" in said
        assert "12 unexpected: visual.transformer.resblocks.2." in said
        assert "of another shape: visual.class_embedding [24] instead of [16], " in said
        assert said.count("instead of") == 3

    def test_with_too_little(self, tmp_path: Path) -> None:
        state = drawn(tmp_path)
        del state["ln_final.weight"]
        save_file(state, tmp_path / "w.safetensors")
        assert "(1 missing: ln_final.weight)" in refused(from_file(tmp_path, "w.safetensors"), tmp_path)

    def test_that_would_run_code(self, tmp_path: Path) -> None:
        marker = tmp_path / "ran"

        class Evil:
            def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
                return (Path.touch, (marker,))

        for name, save in (
            ("w.pt", lambda path: torch.save({"state_dict": Evil()}, path)),
            ("w.bin", lambda path: path.write_bytes(pickle.dumps(Evil()))),
        ):
            save(tmp_path / name)
            said = refused(from_file(tmp_path, name), tmp_path)
            assert f"{name}: to read it would run code of its own" in said
            assert not [one for one in ("weights_only", "add_safe_globals", "Weights only") if one in said], said
            assert not marker.exists()

    def test_of_torchscript(self, tmp_path: Path) -> None:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("w/constants.pkl", b"")
            archive.writestr("w/data.pkl", b"")
        (tmp_path / "w.pt").write_bytes(made.getvalue())
        assert "it is a TorchScript archive, such as OpenAI's" in refused(from_file(tmp_path, "w.pt"), tmp_path)

    @pytest.mark.parametrize(("file", "save"), [("w.safetensors", save_file), ("w.pt", torch.save)])
    def test_that_is_cut(self, file: str, save: Callable[..., object], tmp_path: Path) -> None:
        save(drawn(tmp_path), tmp_path / file)
        whole = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(whole[: len(whole) // 2])
        assert "it cannot be read, and may be incomplete: " in refused(from_file(tmp_path, file), tmp_path)

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"hello\n", "it is no checkpoint: neither safetensors nor"),
            (b"<html>404</html>", "it is no checkpoint: neither safetensors nor"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a pointer of Git LFS"),
            (b"", "it is no checkpoint"),
            (b"\x80\x02}q\x00X\x05", "get it again"),
        ],
    )
    def test_that_is_none(self, content: bytes, expected: str, tmp_path: Path) -> None:
        (tmp_path / "w.pt").write_bytes(content)
        said = refused(from_file(tmp_path, "w.pt"), tmp_path)
        assert expected in said
        assert said.count("model: ") == 1

    def test_that_diverged(self, tmp_path: Path) -> None:
        state = drawn(tmp_path)
        state["ln_final.weight"][0] = float("nan")
        save_file(state, tmp_path / "w.safetensors")
        said = refused(from_file(tmp_path, "w.safetensors"), tmp_path)
        assert "ln_final.weight has values that are infinite or no number" in said

    def test_that_holds_something_else(self, tmp_path: Path) -> None:
        torch.save({"state_dict": {"a": 1}}, tmp_path / "w.pt")
        assert "'a' is a int; a state dict of tensors is needed" in refused(from_file(tmp_path, "w.pt"), tmp_path)
        torch.save([1, 2], tmp_path / "w.pt")
        assert "it holds a list, not tensors by name" in refused(from_file(tmp_path, "w.pt"), tmp_path)
        (tmp_path / "w.npz").write_bytes(b"x")
        assert "a checkpoint is one of .safetensors, .pt" in refused(from_file(tmp_path, "w.npz"), tmp_path)


class TestSaidOfAName:
    def test_unknown(self, tmp_path: Path) -> None:
        said = refused(Model(name="ViT-B-17", pretrained="random"), tmp_path)
        assert said.startswith("model: 'ViT-B-17' is unknown to open_clip; such as ViT-B-16")

    def test_weights_are_named(self, tmp_path: Path) -> None:
        said = refused(Model(name="ViT-B-32", pretrained="laion3b"), tmp_path)
        assert "'laion3b' given, which is neither a file nor a tag; allowed: openai, laion400m_e31, " in said
        assert said.endswith("random, or a checkpoint file")

    def test_tag_that_is_not_here(self, tmp_path: Path) -> None:
        said = refused(Model(name="ViT-B-32", pretrained="laion2b_s34b_b79k"), tmp_path)
        assert "the weights laion2b_s34b_b79k are not on this machine; `retune fetch STUDY` downloads them (" in said
        assert "(pretrained: /path/to/file)" in said

    def test_tag_of_another_activation(self, tmp_path: Path) -> None:
        said = refused(Model(name="ViT-B-32", pretrained="openai"), tmp_path)
        assert said.endswith("was trained with another activation (QuickGELU); name ViT-B-32-quickgelu")

    def test_hub(self, tmp_path: Path) -> None:
        said = refused(Model(name="hf-hub:some/model"), tmp_path)
        assert "open_clip_config.json of some/model is not on this machine; `retune fetch STUDY` downloads it" in said

    def test_folder(self, tmp_path: Path) -> None:
        assert "there is no folder" in refused(Model(name=f"local-dir:{tmp_path}/none"), tmp_path)
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
        assert "it has no weights; one of open_clip_model.safetensors, " in refused(
            Model(name=f"local-dir:{tmp_path}"), tmp_path
        )

    def test_coca(self, tmp_path: Path) -> None:
        said = refused(Model(name="coca_ViT-B-32", pretrained="random"), tmp_path)
        assert "it is a CoCa, half of whose loss is the captions that its decoder writes" in said

    def test_text_tower_of_the_hub(self, tmp_path: Path) -> None:
        said = refused(Model(name="roberta-ViT-B-32", pretrained="random"), tmp_path)
        assert "its text tower is roberta-base, whose config.json is not on this machine" in said

    def test_tokenizer_of_the_hub(self, tmp_path: Path) -> None:
        said = refused(Model(name="ViT-B-16-SigLIP", pretrained="random"), tmp_path)
        assert "its tokenizer timm/ViT-B-16-SigLIP is not on this machine" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"vision_cfg": {**VIT, "widht": 3}},
            "vision_cfg.widht: unknown key; did you mean width? allowed here: layers, ",
        ),
        ({"text_cfg": {**OWN_TEXT, "x": 3}}, "text_cfg.x: unknown key; allowed here: context_length, "),
        ({"embed": 3}, "embed: unknown key; did you mean embed_dim? allowed here: embed_dim, vision_cfg, text_cfg, "),
        ({"vision_cfg": 3}, "vision_cfg: 3 given; allowed: a mapping"),
        ({"vision_cfg": {**VIT, "width": "a"}}, "open_clip cannot build it: "),
        ({"vision_cfg": {"timm_model_name": "resnet_x"}}, "open_clip cannot build it: Unknown model (resnet_x)"),
        ({"vision_cfg": {"timm_model_name": "hf-hub:a/b"}}, "'hf-hub:a/b' is on a hub; name an architecture of timm"),
        (
            {"vision_cfg": {"timm_model_name": "vit_tiny_patch16_224", "image_size": 32}},
            "it does not take what its config says, images of 32 x 32 and texts of 12: Input height (32)",
        ),
        (
            {"vision_cfg": {"timm_model_name": "test_mambaout", "image_size": 64, "timm_proj": "none"}},
            "its towers give (2, ",
        ),
        ({"multimodal_cfg": {}}, "it is a CoCa"),
    ],
)
def test_wrong_config(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in refused(Model(name=str(config(tmp_path, **changes)), pretrained="random"), tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no readable JSON config of open_clip"),
        ("[]", "is no mapping"),
        ('{"embed_dim": 3}', "vision_cfg: missing; a config of open_clip has embed_dim, vision_cfg, text_cfg"),
        (json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {"maen": 1}}), "preprocess_cfg.maen: unknown key"),
    ],
)
def test_wrong_file(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(content)
    assert said in refused(Model(name=str(tmp_path / "m.json"), pretrained="random"), tmp_path)
    assert "m.json" in refused(Model(name=str(tmp_path / "m.json"), pretrained="random"), tmp_path)


class TestPreprocessing:
    def test_of_a_config(self, tmp_path: Path) -> None:
        path = tmp_path / "m.json"
        preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.1, 0.1], "interpolation": "bilinear", "size": 99}
        path.write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
        seen = open_model(Model(name=str(path), pretrained="random"), tmp_path / "cache").preprocessing
        assert (seen.mean, seen.interpolation, seen.resize_mode) == ([0.5, 0.4, 0.3], "bilinear", "shortest")
        assert seen.size == (16, 16)

    def test_weights_without_a_tag_see_what_all_tags_agree_on(self) -> None:
        from trainables.workloads.clip import architectures

        siglip = architectures.preprocessing(architectures.find("ViT-B-16-SigLIP"), "/some/file.pt", 224)
        assert (siglip.mean, siglip.resize_mode) == ((0.5, 0.5, 0.5), "squash")
        tagged = architectures.preprocessing(architectures.find("ViT-B-32"), "laion2b_s34b_b79k", 224)
        assert tagged.resize_mode == "shortest"


class TestTokenizer:
    def test_of_open_clip(self, tmp_path: Path) -> None:
        text = {**OWN_TEXT, "vocab_size": 49408}
        model = random(tmp_path, text_cfg=text)
        expected = open_clip.SimpleTokenizer(context_length=12)(["a cat", "two dogs"])
        tokens = model.tokenize(["a cat", "two dogs"])
        np.testing.assert_array_equal(tokens, expected.numpy())
        assert tokens.dtype == np.int32
        assert model.tokenizer_name == "open_clip-12"
        assert model.tokenizer_files == {}
        assert model.tokenize([]).shape == (0, 12)

    def test_for_a_hub(self, tmp_path: Path) -> None:
        """The vocabulary of transformers, which puts the same tokens, up to the end, where its padding differs."""
        model = random(tmp_path, text_cfg={**OWN_TEXT, "vocab_size": 49408})
        files = model.hub_tokenizer()
        assert {"tokenizer.json", "tokenizer_config.json"} <= files.keys()
        (tmp_path / "words").mkdir()
        for name, content in files.items():
            (tmp_path / "words" / name).write_text(content)
        texts = ["a photo of a cat", "It's 12.5 &amp; \u00e9t\u00e9 \u4e2d\U0001f600!", "x" * 300, ""]
        theirs = open_clip.tokenizer.HFTokenizer(str(tmp_path / "words"), context_length=12)(texts).numpy()
        for ours, tokens in zip(model.tokenize(texts), theirs, strict=True):
            end = list(ours).index(49407)
            np.testing.assert_array_equal(ours[: end + 1], tokens[: end + 1])
        open_model.cache_clear()
        odd = {**OWN_TEXT, "vocab_size": 49500, "tokenizer_kwargs": {"clean": "whitespace"}}
        assert random(tmp_path, text_cfg=odd).hub_tokenizer() == {}

    def test_texts_that_are_cut_are_counted(self, tmp_path: Path) -> None:
        """Of 12 tokens two are start and end."""
        folder = tmp_path / "words"
        folder.mkdir()
        for name, content in tokenizer_files().items():
            (folder / name).write_text(content)
        texts = ["", "the", *("the " * count for count in (9, 10, 11, 12, 30))]
        own = random(tmp_path, text_cfg={**OWN_TEXT, "vocab_size": 49408})
        open_model.cache_clear()
        other = random(tmp_path, text_cfg={**OWN_TEXT, "vocab_size": 1000, "hf_tokenizer_name": "words"})
        for model in (own, other):
            assert model.cut(texts, model.tokenize(texts)) == 3
            assert model.cut([], model.tokenize([])) == 0

    @pytest.mark.parametrize("padding", ["<end>", "<unk>"])
    def test_padding_may_look_like_an_end(self, tmp_path: Path, padding: str) -> None:
        folder = tmp_path / "words"
        folder.mkdir()
        for name, content in tokenizer_files().items():
            (folder / name).write_text(content.replace('"pad_token": "<pad>"', f'"pad_token": "{padding}"'))
        model = random(tmp_path, text_cfg={**OWN_TEXT, "vocab_size": 1000, "hf_tokenizer_name": "words"})
        texts = ["the " * count for count in (1, 9, 10, 11, 12)]
        assert model.cut(texts, model.tokenize(texts)) == 2

    def test_token_that_the_text_tower_lacks(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=f"its text tower has {WORDS} \\(vocab_size\\)"):
            random(tmp_path).tokenize(["a cat"])

    def test_of_a_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "words"
        folder.mkdir()
        for name, content in tokenizer_files().items():
            (folder / name).write_text(content)
        text = {**OWN_TEXT, "vocab_size": 1000, "hf_tokenizer_name": "words"}
        model = random(tmp_path, text_cfg=text)
        tokens = model.tokenize(["the the"])
        assert tokens.shape == (1, 12)
        assert tokens[0, 0] == 1
        assert not tokens[0, 4:].any()
        assert "tokenizer.json" in model.tokenizer_files
        open_model.cache_clear()
        (folder / "special_tokens_map.json").write_text("{}")
        assert random(tmp_path, text_cfg=text).tokenizer_name != model.tokenizer_name


def test_a_model_of_the_hub_that_is_in_its_cache(tmp_path: Path, hub: Path) -> None:
    state = drawn(tmp_path)
    snapshot = in_hub(hub, "some/model", {"open_clip_config.json": json.dumps({"model_cfg": CONFIG})})
    save_file(state, snapshot / "open_clip_model.safetensors")
    got = open_model(Model(name="hf-hub:some/model"), tmp_path / "cache").base()
    assert all(torch.equal(got[name], tensor) for name, tensor in state.items())


def test_an_exported_model_is_opened_again(tmp_path: Path) -> None:
    from trainables.workloads.catalogue import open_workload
    from trainables.workloads.pocket.settings import Pocket

    pocket = open_workload(Pocket(pool=512), Runtime())
    pocket.export(pocket.base(), tmp_path / "out", "open_clip")
    model = open_model(Model(name=f"local-dir:{tmp_path / 'out'}"), tmp_path / "cache")
    assert all(torch.equal(model.base()[name], tensor) for name, tensor in pocket.base().items())
    assert model.anatomy == pocket.identity.anatomy
    assert model.preprocessing.mean == [0.45] * 3
    assert (model.tokenize(["the letter"])[0, 0], model.loss) == (1, "clip")


class TestFetch:
    def test_what_needs_no_network(self, tmp_path: Path) -> None:
        told: list[str] = []
        model = Model(name=str(config(tmp_path)), pretrained="random")
        fetched = fetch_model(model, tmp_path / "cache", told.append)
        assert fetched.base_digest == open_model(model, tmp_path / "cache").base_digest
        assert told == [f"opening {model.name}"]

    @pytest.mark.parametrize(
        ("model", "what"),
        [
            (Model(name="hf-hub:some/model"), "some/model"),
            (Model(name="ViT-B-32", pretrained="laion2b_s34b_b79k"), "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
            (Model(name="ViT-B-16-SigLIP", pretrained="webli"), "timm/ViT-B-16-SigLIP"),
        ],
    )
    def test_without_a_network(self, model: Model, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        logger, said = logging.getLogger("huggingface_hub.utils._http"), logging.handlers.BufferingHandler(100)
        monkeypatch.setattr(logger, "handlers", [said])

        def fails(*_: object, **__: object) -> None:
            logger.warning("Retrying in 1s [Retry 1/5].")
            raise OSError("no route\nto the hub")

        monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
        monkeypatch.setattr("open_clip.download_pretrained", fails)
        with pytest.raises(ConfigError) as caught:
            fetch_model(model, tmp_path / "cache", lambda _: None)
        assert f"model: {model.name}: {what} cannot be downloaded: no route to the hub; " in str(caught.value)
        assert not said.buffer


def test_an_open_model_is_a_value(tmp_path: Path) -> None:
    model = random(tmp_path)
    assert replace(model, loss="siglip").loss == "siglip"
    with pytest.raises(AttributeError):
        model.loss = "siglip"  # type: ignore[misc]
