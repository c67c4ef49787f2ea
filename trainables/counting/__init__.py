"""What a step costs, counted without weights, data or a device."""
