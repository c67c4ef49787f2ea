"""What may vary in a study: axes, the conditions between them, and grids expanded to configs without duplicates."""
