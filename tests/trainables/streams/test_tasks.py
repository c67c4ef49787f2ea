"""Tasks: a partition of the stream into contiguous chunks of nearly equal size."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.frozen import ConfigError
from trainables.streams.tasks import Task, cut


def concepts(count: int) -> tuple[str, ...]:
    return tuple(f"c{i}" for i in range(count))


@given(st.integers(1, 60), st.data())
def test_tasks_partition_the_stream_in_order(count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, count))
    tasks = cut(concepts(count), number)
    assert [task.index for task in tasks] == list(range(1, number + 1))
    assert tuple(itertools.chain.from_iterable(task.new for task in tasks)) == concepts(count)
    for before, after in itertools.pairwise(tasks):
        assert after.earlier == before.earlier + before.new
    assert tasks[0].earlier == ()
    sizes = [len(task.new) for task in tasks]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert sizes.count(sizes[0]) == (count % number or number)


def test_sizes_by_hand() -> None:
    assert [len(task.new) for task in cut(concepts(11), 4)] == [3, 3, 3, 2]
    assert [task.new for task in cut(concepts(3), 1)] == [concepts(3)]


def test_too_many_tasks() -> None:
    with pytest.raises(ConfigError, match=r"tasks: 7 given; the stream has 6 concepts"):
        cut(concepts(6), 7)


def test_digest_is_that_of_two_sets_and_a_number() -> None:
    task = Task(index=2, new=("b", "a"), earlier=("d", "c"))
    assert task.digest == Task(index=2, new=("a", "b"), earlier=("c", "d")).digest
    others = [
        Task(index=3, new=("a", "b"), earlier=("c", "d")),
        Task(index=2, new=("a", "c"), earlier=("b", "d")),
        Task(index=2, new=("c", "d"), earlier=("a", "b")),
        Task(index=2, new=("a", "b"), earlier=()),
    ]
    assert len({task.digest, *(other.digest for other in others)}) == 5
