"""Merging files: the same numbers as in memory, a record, one tensor in memory at a time, and no file believed."""

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainables.merging.merge import MergeError, MergeInputs, merge
from trainables.merging.merge_files import merge_files, opened, record_of
from trainables.merging.rule import ROWS, MergeRule


def state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = {"blocks.0.w": (70, 30), "blocks.1.w": (300_000,), "empty": (0, 3), "logit_scale": ()}
    return {name: torch.randn(shape, generator=rng).to(dtype) for name, shape in shapes.items()} | {
        "count": torch.tensor([seed, 3])
    }


def write(folder: Path, name: str, tensors: dict[str, Tensor]) -> Path:
    path = folder / name
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    base, old, new = (write(tmp_path, f"{name}.safetensors", state(i)) for i, name in enumerate(("base", "old", "new")))
    return base, old, new


@pytest.mark.parametrize("name", ROWS)
def test_file_holds_what_the_rule_gives_in_memory(name: str, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, *inputs = files
    rule = MergeRule.model_validate({"name": name})
    weights = (0.9, 0.1) if rule.row.weighs else None
    fishers = [
        write(tmp_path, f"f{i}.safetensors", {k: t.square() for k, t in state(i).items() if t.is_floating_point()})
        for i in (5, 6)
    ]
    fishers = fishers if name == "fisher" else []
    out = tmp_path / "out.safetensors"
    merge_files(rule, inputs, out, weights=weights, base=base, fishers=fishers, seed=7)
    in_memory = MergeInputs(
        states=tuple(load_file(path) for path in inputs),
        weights=weights,
        base=load_file(base),
        fishers=tuple(load_file(path) for path in fishers) or None,
        seed="7",
    )
    latest = in_memory.states[-1]
    expected = {key: tensor.to(latest[key].dtype) for key, tensor in merge(rule, in_memory).items()}
    got = load_file(out)
    assert got.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(got[key], tensor), key
        assert got[key].dtype == tensor.dtype


def test_record_has_the_shares_that_stay(tmp_path: Path) -> None:
    """Of 8 entries 3 are asked for; of the first file two more equal the third, of the second one has not moved."""
    moves = ([1, 2, 2, 5, -6, 2, -1, 0], [0, 0, 0, 0, 4, 3, 0, 0])
    paths = [
        write(tmp_path, f"{i}.safetensors", {"a": torch.tensor(m[:3]).bfloat16(), "b": torch.tensor(m[3:]).bfloat16()})
        for i, m in enumerate(([0] * 8, *moves))
    ]
    out = tmp_path / "o.safetensors"
    shares = {"ties": [5 / 8, 2 / 8], "task_arithmetic": None, "lerp": None}
    for name, expected in shares.items():
        own = {"density": 3 / 8} if expected else {}
        rule = MergeRule.model_validate({"name": name, **own})
        assert merge_files(rule, paths[1:], out, base=paths[0]).stayed == expected
        assert json.loads(record_of(out).read_text())["stayed"] == expected


@pytest.mark.parametrize("lost", ["blocks.0.w", "blocks.1.w", "logit_scale"])
def test_fisher_files_may_lack_a_tensor(lost: str, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Only that one is averaged plainly."""
    _, *inputs = files
    matrices = [{k: t.square() + i for k, t in state(i + 5).items() if t.is_floating_point()} for i in range(2)]
    del matrices[0][lost]
    fishers = [write(tmp_path, f"f{i}.safetensors", one) for i, one in enumerate(matrices)]
    merge_files(MergeRule(name="fisher"), inputs, tmp_path / "o.safetensors", fishers=fishers)
    states = tuple(load_file(path) for path in inputs)
    expected = merge(MergeRule(name="fisher"), MergeInputs(states=states, fishers=tuple(matrices)))
    got = load_file(tmp_path / "o.safetensors")
    assert all(torch.equal(got[name], expected[name]) for name in got)
    assert torch.equal(got[lost], merge(MergeRule(), MergeInputs(states=states))[lost])


@pytest.mark.parametrize("name", ["lerp", "ties", "dare", "random"])
def test_tied_tensors_of_torch_files_stay_tied(name: str, tmp_path: Path) -> None:
    paths = []
    for i in range(3):
        one = torch.randn(50, generator=torch.Generator().manual_seed(i))
        paths.append(write(tmp_path, f"{i}.pt", {"emb": one, "other": one + 1, "head": one}))
    rule = MergeRule.model_validate({"name": name})
    merge_files(rule, paths[1:], tmp_path / "o.safetensors", base=paths[0])
    got = load_file(tmp_path / "o.safetensors")
    assert torch.equal(got["emb"], got["head"])
    assert not torch.equal(got["emb"], got["other"])


def test_parameters_and_old_torch_files_are_read(tmp_path: Path) -> None:
    one, two = (torch.nn.Linear(3, 2) for _ in range(2))
    torch.save(dict(one.named_parameters()), tmp_path / "1.pt")
    torch.save(dict(two.named_parameters()), tmp_path / "2.pt", _use_new_zipfile_serialization=False)
    paths = [tmp_path / "1.pt", tmp_path / "2.pt", tmp_path / "1.pt"]
    merge_files(MergeRule(), paths, tmp_path / "o.safetensors")
    expected = (2 * one.weight + two.weight).detach() / 3
    torch.testing.assert_close(load_file(tmp_path / "o.safetensors")["weight"], expected)


def test_sums_beyond_float16_are_refused(tmp_path: Path) -> None:
    zero, large = torch.zeros(3, dtype=torch.float16), torch.full((3,), 6e4, dtype=torch.float16)
    base, *inputs = (write(tmp_path, f"{i}.safetensors", {"w": one}) for i, one in enumerate((zero, large, large)))
    with pytest.raises(MergeError, match="w: merged values are beyond the range of float16"):
        merge_files(MergeRule(name="task_arithmetic"), inputs, tmp_path / "o.safetensors", base=base)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.safetensors", "1.safetensors", "2.safetensors"]


@pytest.mark.parametrize(("which", "said"), [(0, "the base"), (1, "input 1"), (2, "input 2")])
@pytest.mark.parametrize("name", ["task_arithmetic", "ties"])
def test_values_that_are_not_finite_are_refused_by_name(name: str, which: int, said: str, tmp_path: Path) -> None:
    states = [{"a": torch.ones(3), "w": torch.randn(9, generator=torch.Generator().manual_seed(i))} for i in range(3)]
    states[which]["w"][4] = torch.nan
    base, *inputs = (write(tmp_path, f"{i}.safetensors", one) for i, one in enumerate(states))
    with pytest.raises(MergeError, match=f"w: 1 of 9 values of {said} are not finite"):
        merge_files(MergeRule.model_validate({"name": name}), inputs, tmp_path / "o.safetensors", base=base)
    assert not (tmp_path / "o.safetensors").exists()


def test_files_without_tensors_are_refused(tmp_path: Path) -> None:
    for path in (write(tmp_path, "e.safetensors", {}), write(tmp_path, "e.pt", {})):
        with pytest.raises(MergeError, match="it holds no"):
            merge_files(MergeRule(), [path, path], tmp_path / "o.safetensors")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2.0, 2], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [True, 4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0.0, 16]},
        {"dtype": "F32", "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": 4, "data_offsets": [0, 16]},
    ],
)
def test_headers_are_not_believed(entry: dict[str, Any], tmp_path: Path) -> None:
    header = json.dumps({"w": entry}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(MergeError, match="w: its entry in the header is damaged"):
        merge_files(MergeRule(), [path, path], tmp_path / "o.safetensors")


def test_files_whose_tensors_are_not_aligned_are_read_once_a_tensor(tmp_path: Path) -> None:
    """A header of odd length: the same numbers, and one copy of a tensor however many pieces are asked for."""
    paths = []
    for i in range(3):
        values = torch.randn(300_000, generator=torch.Generator().manual_seed(i))
        header = json.dumps({"w": {"dtype": "F32", "shape": [300_000], "data_offsets": [0, 1_200_000]}}).encode()
        header += b" " * (1 - (len(header) + 8) % 2)
        path = tmp_path / f"{i}.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header + values.numpy().tobytes())
        paths.append(path)
    with opened(paths[0]) as weights:
        assert weights["w"] is weights["w"]
    merge_files(MergeRule(name="ties"), paths[1:], tmp_path / "o.safetensors", base=paths[0])
    states = tuple(load_file(path) for path in paths)
    expected = merge(MergeRule(name="ties"), MergeInputs(states=states[1:], base=states[0]))
    assert torch.equal(load_file(tmp_path / "o.safetensors")["w"], expected["w"])


def test_storage_type_is_kept(tmp_path: Path) -> None:
    old, new = (write(tmp_path, f"{i}.safetensors", state(i, torch.bfloat16)) for i in (1, 2))
    merge_files(MergeRule(), [old, new], tmp_path / "o.safetensors", weights=(0.3, 0.7))
    got = load_file(tmp_path / "o.safetensors")
    exact = 0.3 * load_file(old)["blocks.0.w"].double() + 0.7 * load_file(new)["blocks.0.w"].double()
    assert got["blocks.0.w"].dtype == torch.bfloat16
    torch.testing.assert_close(got["blocks.0.w"].double(), exact, rtol=2**-7, atol=1e-6)


def test_record_says_what_was_done(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, old, new = files
    out = tmp_path / "o.safetensors"
    merge_files(MergeRule(), [old, new], out, weights=(0.25, 0.75), base=base)
    record = json.loads(record_of(out).read_text())
    assert record["rule"] == {"name": "lerp", "logit_scale": "merge"}
    assert record["weights"] == [0.25, 0.75]
    assert [one["path"] for one in record["inputs"]] == [str(old), str(new)]
    for one in (*record["inputs"], record["base"]):
        assert one["sha256"] == hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest()
    moved = load_file(out)["blocks.0.w"] - load_file(base)["blocks.0.w"]
    assert record["moved_from"] == "base"
    assert record["tensors"]["blocks.0.w"]["norm"] == pytest.approx(float(moved.norm()), rel=1e-5)
    share = float(moved.norm() / load_file(base)["blocks.0.w"].norm())
    assert record["tensors"]["blocks.0.w"]["relative"] == pytest.approx(share, rel=1e-5)


def test_inputs_are_not_changed(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    before = [path.read_bytes() for path in files]
    for name in ROWS:
        if name != "fisher":
            rule = MergeRule.model_validate({"name": name})
            merge_files(rule, files[1:], tmp_path / f"{name}.safetensors", base=files[0])
    assert [path.read_bytes() for path in files] == before


def test_pytorch_files_load_with_weights_only(tmp_path: Path) -> None:
    paths = [write(tmp_path, name, state(i)) for i, name in enumerate(("a.pt", "b.bin"))]
    torch.save({"state_dict": state(2), "epoch": 3}, tmp_path / "c.pth")
    out = tmp_path / "o.safetensors"
    merge_files(MergeRule(), [*paths, tmp_path / "c.pth"], out)
    expected = merge(MergeRule(), MergeInputs(states=tuple(state(i) for i in range(3))))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(out).items())


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "run",)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"w": Evil()}))
    with pytest.raises(MergeError, match=r"evil\.pt: no weights that can be loaded safely"):
        merge_files(MergeRule(), [tmp_path / "evil.pt"] * 2, tmp_path / "o.safetensors")
    assert not (tmp_path / "run").exists()


def test_pytorch_file_that_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(MergeError, match="holds no state dict"):
        merge_files(MergeRule(), [tmp_path / "list.pt"] * 2, tmp_path / "o.safetensors")


def cut(blob: bytes) -> bytes:
    return blob[:-5]


def lie(blob: bytes) -> bytes:
    return blob.replace(b"[70,30]", b"[70,31]")


def strange(blob: bytes) -> bytes:
    return blob.replace(b'"F32"', b'"F3X"', 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "cut off"),
        (lie, "do not fit"),
        (strange, "no type that can be merged"),
        (lambda blob: b"\xff" * 8 + blob[8:], "no length of a header"),
        (lambda _: b"PK\x03\x04 not weights at all", "no safetensors file"),
        (lambda _: b"", "no safetensors file"),
        (lambda blob: blob[:8] + b"[" + blob[9:], "no safetensors file"),
    ],
)
def test_damaged_file_is_said(damage: Any, said: str, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(damage(files[1].read_bytes()))
    with pytest.raises(MergeError, match=said) as caught:
        merge_files(MergeRule(), [bad, files[2]], tmp_path / "o.safetensors", weights=(0.5, 0.5))
    assert "bad.safetensors" in str(caught.value)
    assert not list(tmp_path.glob("*o.safetensors*"))
    assert not list(tmp_path.glob(".*"))


def test_output_that_is_an_input_is_refused(files: tuple[Path, Path, Path]) -> None:
    before = files[1].read_bytes()
    with pytest.raises(MergeError, match="one of the inputs"):
        merge_files(MergeRule(), files[1:], files[1], weights=(0.5, 0.5))
    assert files[1].read_bytes() == before


def test_header_of_odd_length_is_read(tmp_path: Path) -> None:
    """Older writers do not pad: the tensors' bytes then begin anywhere."""
    blob = write(tmp_path, "a.safetensors", {"w": torch.arange(4.0)}).read_bytes()
    length = int.from_bytes(blob[:8], "little")
    header = blob[8 : 8 + length].rstrip() + b" "
    header += b" " * ((len(header) + 1) % 2)
    odd = tmp_path / "odd.safetensors"
    odd.write_bytes(len(header).to_bytes(8, "little") + header + blob[8 + length :])
    assert (8 + len(header)) % 4
    with opened(odd) as weights:
        assert torch.equal(weights["w"], torch.arange(4.0))


MEMORY = """
import resource, sys, torch
from pathlib import Path
from trainables.merging.merge_files import merge_files
from trainables.merging.rule import MergeRule
torch.set_num_threads(1)
folder = Path(sys.argv[1])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
small = [folder / "s0.safetensors", folder / "s1.safetensors"]
rule = MergeRule.model_validate({"name": sys.argv[2]})
weights = (0.9, 0.1) if rule.row.weighs else None
merge_files(rule, small, folder / "s.safetensors", weights=weights, base=small[0] if rule.needs_base else None)
before = peak()
large = [folder / "l0.safetensors", folder / "l1.safetensors"]
merge_files(rule, large, folder / "l.safetensors", weights=weights, base=large[0] if rule.needs_base else None)
print(peak() - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two small files and of two with 24 tensors of 8 MB."""
    folder = tmp_path_factory.mktemp("large")
    for i in (0, 1):
        values = torch.randn(1 << 21)
        write(folder, f"s{i}.safetensors", {"w": values[:1000].clone()})
        write(folder, f"l{i}.safetensors", {f"w{j}": values.roll(j) for j in range(24)})
    return folder


@pytest.mark.parametrize(("rule", "tensors"), [("lerp", 4), ("ties", 14)])
def test_memory_is_that_of_a_few_tensors(rule: str, tensors: int, large: Path) -> None:
    """Less than a quarter of one file for lerp, whatever the number of tensors."""
    done = subprocess.run([sys.executable, "-c", MEMORY, str(large), rule], capture_output=True, text=True, check=True)
    assert int(done.stdout) < tensors * (1 << 23) + (1 << 24)
