"""What to choose, and what to run next."""
