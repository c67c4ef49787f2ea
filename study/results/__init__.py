"""What trials came to, as tables."""
