"""Learning-rate schedules: pure functions of the step that return a factor of the peak rate."""

import math

from trainables.config import Schedule


def factor(schedule: Schedule, *, step: int, steps: int) -> float:
    """Factor of the peak learning rate at `step` (from 0) of a task of `steps` steps.

    Warm-up over W = ceil(warmup * steps) steps: (step + 1) / W. Then a cosine from 1, reached at the last warm-up
    step, to `final`, reached at the last step of the task (arXiv 2408.14471, appendix; 1608.03983, eq. 5).
    """
    warm = math.ceil(schedule.warmup * steps - 1e-9)  # .07 * 100 is 7.000000000000001
    if step < warm:
        return (step + 1) / warm
    if schedule.name == "constant":
        return 1.0
    progress = (step - warm + 1) / (steps - warm)
    return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * progress)) / 2
