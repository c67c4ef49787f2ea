"""What a study keeps on disk, and what may go."""
