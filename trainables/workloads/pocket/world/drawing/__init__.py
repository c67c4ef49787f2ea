"""Drawing in batches: randomness, forms as distance fields, masks, colours, and what the world is made of."""
