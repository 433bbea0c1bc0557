"""How often a thought came to an end, counted for the metrics of a step."""

from tutelage.metrics import Mean, Metric


class ClosedThoughts:
    """``thought/closed/AXIS``: the share of thoughts that could be read."""

    def __init__(self, axis: str) -> None:
        self._name = f"thought/closed/{axis}"
        self._share = Mean(0.0, 0.0)

    def add(self, closed: int, thoughts: int) -> None:
        """Count ``closed`` of so many more thoughts."""
        self._share = Mean(self._share.total + closed, self._share.count + thoughts)

    def take(self) -> dict[str, Metric]:
        """The share since the last call; nothing where there was no thought."""
        share, self._share = self._share, Mean(0.0, 0.0)
        return {self._name: share} if share.count else {}
