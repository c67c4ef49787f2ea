"""Published claims: what each says, which configs bear on it, and whether a study bears it out."""
