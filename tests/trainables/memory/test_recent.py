"""Weights in memory: the newest, in so many bytes, of which what several share is counted once."""

import torch
from torch import Tensor

from trainables.memory.recent import LEAST, Built, Recent


def built(*tensors: Tensor) -> Built:
    return Built({str(i): tensor for i, tensor in enumerate(tensors)}, {})


def weights(numbers: int = 25) -> Built:
    return built(torch.zeros(numbers))


def kept(recent: Recent, count: int) -> list[int]:
    return [i for i in range(count) if str(i) in recent]


def test_as_many_are_kept_as_fit() -> None:
    recent = Recent(7 * 100 + 99)
    for i in range(20):
        recent.put(str(i), weights())
    assert kept(recent, 20) == list(range(13, 20))
    assert recent.bytes == 700


def test_what_a_cycle_needs_is_kept_however_large_it_is() -> None:
    recent = Recent(0)
    for i in range(20):
        recent.put(str(i), weights(10_000))
    assert kept(recent, 20) == list(range(20 - LEAST, 20))
    assert recent.get("0") is None


def test_what_was_used_last_stays() -> None:
    recent = Recent(5 * 100)
    for i in range(5):
        recent.put(str(i), weights())
    assert recent.get("0") is not None
    recent.put("5", weights())
    assert kept(recent, 6) == [0, 2, 3, 4, 5]


def test_shared_tensors_are_counted_once_and_until_the_last_holder_goes() -> None:
    frozen, recent = torch.zeros(1000), Recent(4000 + 6 * 4)
    for i in range(6):
        recent.put(str(i), built(frozen, torch.zeros(1)))
    assert recent.bytes == 4000 + 6 * 4
    recent.put("6", built(torch.zeros(1)))
    assert kept(recent, 7) == [1, 2, 3, 4, 5, 6]
    recent.put("7", weights(1000))  # lets go of the first four
    assert kept(recent, 8) == [4, 5, 6, 7]
    assert recent.bytes == 4000 + 4 + 4 + 4 + 4000
    recent.put("8", weights(1000))
    recent.put("9", weights(1000))
    assert kept(recent, 10) == [6, 7, 8, 9]
    assert recent.bytes == 4 + 3 * 4000


def test_weights_that_are_put_again_count_once_and_so_does_their_carry() -> None:
    recent = Recent(10**6)
    for numbers in (25, 50):
        recent.put("one", Built({"weight": torch.zeros(numbers)}, {"fisher": torch.zeros(numbers)}))
    assert recent.bytes == 2 * 4 * 50
