"""What is written of an evaluation: numbers in words, sentences, JSON and LaTeX."""
