"""What trials share is one object; what is written differently is not shared; what a model lacks is refused."""

import pytest

from search_spaces.space import Scalar, build
from tests.trainables.toys import IDENTITY, trial
from trainables.frozen import ConfigError
from trainables.lineages import Lineages
from trainables.workloads.catalogue import identify
from trainables.workloads.noop.settings import Noop


def test_parts_of_trials_that_are_written_alike_are_one_object() -> None:
    lineages = Lineages(IDENTITY)
    first, again = (list(lineages.of(trial(timeline="zs", w=w))) for w in (0.5, 0.9))
    for one, other in zip(first[1:], again[1:], strict=True):
        assert one.update is not None
        assert other.update is not None
        assert one.update.task is other.update.task
        assert one.update.recipe is other.update.recipe
    other_order = list(lineages.of(trial(order=1)))[1].update
    assert first[1].update is not None
    assert other_order is not None
    assert other_order.task is not first[1].update.task


def test_recipes_that_are_equal_and_written_differently_are_not_shared() -> None:
    lineages = Lineages(IDENTITY)
    plus, minus = (trial(weight_decay=value) for value in (0.0, -0.0))
    alone = [list(Lineages(IDENTITY).of(config))[-1].served.key for config in (plus, minus)]
    assert [list(lineages.of(config))[-1].served.key for config in (plus, minus)] == alone
    assert alone[0] != alone[1]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"timeline": "ema", "rule": "ties", "lines": "sqrt"}, "lines: it scales what is merged by the depth"),
        ({"temperature": 0.07}, "temperature: 0.07 given; the loss of this model has none"),
        ({"timeline": "offline", "merge_logit_scale": "base"}, "merge_logit_scale: base given; the model has no"),
    ],
)
def test_what_speaks_of_parts_that_a_model_lacks_is_refused(axes: dict[str, Scalar], said: str) -> None:
    workload = Noop()
    config, _ = build({"steps": 1, "lr": 1e-3, **axes}, workload=workload, source="s")
    lineages = Lineages(identify(workload))
    for _ in range(2):  # not only the first time that it is asked
        with pytest.raises(ConfigError, match=said):
            list(lineages.of(config))
