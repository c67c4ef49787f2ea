"""The accumulation-retention plane: its anchors and configs, and what hulls, areas, knees, dials and choices say."""
