"""The leaf layer: losses, credit, schedules and statistics over tensors and numbers. It knows no nouns."""
