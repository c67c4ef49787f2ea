"""The memory of this machine is shared out among the processes that fill its cores."""

from trainables.machine.memory import fair_bytes, memory_bytes
from trainables.machine.processes import usable_cpus


def test_processes_that_fill_the_cores_have_the_whole_memory_and_no_more() -> None:
    cores = usable_cpus()
    assert memory_bytes() > 1e8
    assert memory_bytes() - cores <= cores * fair_bytes(threads=1) <= memory_bytes()
    assert fair_bytes(threads=cores) == fair_bytes(threads=10 * cores) == memory_bytes()
