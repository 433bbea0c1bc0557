"""What holds of thinking mid-training (arXiv 2601.21343 Part 2) in the world of steps: ``docs/thinking.md`` tells it.

Read ``claims``, then ``arms`` and ``work``; ``report`` judges.
"""

from tutelage.evidence.thinking.claims import CLAIMS
from tutelage.evidence.thinking.plan import thinking_study
from tutelage.evidence.thinking.settings import ThinkingSetting

__all__ = ["CLAIMS", "ThinkingSetting", "thinking_study"]
