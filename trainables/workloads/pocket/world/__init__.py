"""The pocket world: small data sets of 32x32 pictures with captions, and a pool to pretrain on.

Every picture is a pure function of (world seed, data set, split, index), in the same bits on every x86 machine with the
same libraries, and is drawn in batches: a batch of any composition gives the same pictures.
"""

WORLD_VERSION = 2
"""Raised by every change of what is drawn; a test pins pictures to it."""
