"""What runs inside sandboxes: the standard library only, one process for the program and one for its tests.

These files are mounted into a sandbox that has nothing else of the package, so they import one another only.
"""
