"""How weights are combined (`rules`) and which weights start the next task and are served (`timeline`)."""
