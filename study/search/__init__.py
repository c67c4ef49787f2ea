"""Which trials come next: a grid's plan or a search with Optuna, and which of them end early."""
