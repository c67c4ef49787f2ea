"""The study a user defines: its definition, its plan, running it on Ray Tune, its tables and the command line."""
