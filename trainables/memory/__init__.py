"""What takes memory while a trial runs: weights that are kept, activations, and the device that they have to fit on."""
