"""Suanli (算力): planning AI compute, from chip to fleet."""

__version__ = "0.1.0"
__all__ = ["__version__"]
