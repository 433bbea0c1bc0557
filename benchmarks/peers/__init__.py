"""The other side of each pair. Nothing here imports Tutelage: most of it runs in an environment of its own."""
