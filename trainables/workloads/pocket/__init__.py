"""The pocket benchmark: a procedural world of small pictures with captions, and small CLIPs pretrained on it."""
