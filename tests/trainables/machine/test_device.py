"""The names of devices, by which numbers of different kinds are told apart."""

import pytest
import torch

from trainables.machine.device import device_name


def test_a_cpu_has_the_name_of_its_maker() -> None:
    name = device_name("cpu")
    assert name
    assert name == name.strip()
    assert name != "cpu"


def test_a_gpu_has_its_own_name() -> None:
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    assert device_name("cuda") == torch.cuda.get_device_name("cuda")


def test_a_gpu_that_is_not_there_is_named_all_the_same() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert device_name("cuda:1") == "cuda:1"
