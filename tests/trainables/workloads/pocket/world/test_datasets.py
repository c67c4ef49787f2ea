"""The contract of the data sets: groups, sizes, captions."""

from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS, HOLDOUT, data_sets


def images(names: tuple[str, ...]) -> int:
    return sum(len(DATASETS[name].concepts) * DATASETS[name].test_per_concept for name in names)


def test_contract_of_the_data_sets() -> None:
    assert (len(ADAPT), len(HOLDOUT)) == (16, 8)
    assert set(DATASETS) - {*ADAPT, *HOLDOUT} == {"counts", "dials"}
    assert sum(len(DATASETS[name].concepts) for name in ADAPT) == 199
    assert images(HOLDOUT) >= 1_500
    assert images(tuple(DATASETS)) <= 3_400
    for name, row in DATASETS.items():
        assert row.name == name
        assert len(set(row.concepts)) == len(row.concepts) >= 8
        assert len(set(row.templates)) == len(row.templates) >= 3
        assert row.prompt == row.templates[0]
        assert all(text.count("{}") == 1 for text in row.templates)


def test_another_world_has_the_same_data_sets_but_for_its_pairs() -> None:
    other = data_sets(1)
    assert list(other) == list(DATASETS)
    assert [name for name in other if other[name] != DATASETS[name]] == ["pairs"]
    assert data_sets(0) == DATASETS
