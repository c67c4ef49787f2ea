"""What a study would run, and what it would cost."""
