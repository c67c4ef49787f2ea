"""Running a study, on Ray or in this process."""
