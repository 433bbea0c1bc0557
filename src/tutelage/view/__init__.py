"""A run in the browser: a local page of its curves and samples, live while the run goes on.

It reads the run's directory and nothing else, and keeps no sample in memory: pools are read from Parquet when they are
looked at.
"""

from tutelage.view.server import application, serve

__all__ = ["application", "serve"]
