"""One trial, from its config to its scores: the continual update cycle and all that it is made of.

A trial needs no scheduler: `python -m trainables config.json` runs one. Read `cycle.py` first.
"""
