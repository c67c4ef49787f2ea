"""What is written of an evaluation: words, JSON, LaTeX."""
