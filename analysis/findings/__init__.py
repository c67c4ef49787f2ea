"""Findings: published claims, the configs that bear on each, and verdicts with what would decide the open ones."""
