"""What leaves a study: checkpoints, and its trials for Optuna."""
