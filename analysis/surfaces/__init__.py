"""Response surfaces: configs as columns, processes and forests through them, and what these say of untested ones."""
