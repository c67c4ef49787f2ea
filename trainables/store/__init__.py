"""Where results are kept: keyed bytes, written once."""
