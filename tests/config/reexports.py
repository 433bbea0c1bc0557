"""Shows under its own name a class from elsewhere."""

from tests.config.samples import LengthSpec

__all__ = ["LengthSpec"]
