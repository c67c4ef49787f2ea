"""What is learnt, in which order and in which mixture: pure functions of (seed, order, task, step)."""
