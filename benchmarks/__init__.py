"""Tutelage beside its peers, in interleaved pairs: ``python -m benchmarks --help``."""
