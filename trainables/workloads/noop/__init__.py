"""A workload that costs nothing: a model of one number, on data that are numbers, scored by how near it comes to some.

It tries everything but the training: `workload: {name: noop}` in place of a study's own runs the same timelines, merges
and schedule through the same loop on the same cluster and store, before anything costs. Of methods it can have those
that need no layers.
"""
