"""Reading the tables of a study: what they must hold, what is left out of them, and how they are cut and joined."""
