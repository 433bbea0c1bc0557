"""Miniature worlds with exact ground truth, plugged in through the public Protocols alone."""
