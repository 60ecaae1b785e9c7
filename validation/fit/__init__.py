"""Measured rows, and the fits made on them."""
