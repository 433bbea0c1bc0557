"""Tutelage: pretrain language models under the tutelage of better ones."""

__version__ = "0.1.0"
