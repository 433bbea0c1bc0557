"""The world of facts: a corpus that is partly wrong, abusive and sloppy, and an oracle that knows better.

It is the proving ground of self-improving pretraining, and shows how to plug in a stream, a judge and a rewriter of
one's own. Read ``world``, then ``documents``, ``reading`` and ``scores``; ``docs/proving-ground.md`` tells the story.
"""

from tutelage.worlds.facts.documents import Corruption
from tutelage.worlds.facts.evaluation import FactsEvaluation
from tutelage.worlds.facts.gaming import GAMES, honest
from tutelage.worlds.facts.judge import FactsJudge, score_all
from tutelage.worlds.facts.measures import FactsMeasures, FactsSummary, measure, summarise, wins
from tutelage.worlds.facts.rewriter import FactsRewriter
from tutelage.worlds.facts.scores import Scores
from tutelage.worlds.facts.stream import FactsStream
from tutelage.worlds.facts.teacher import FactsTeacher
from tutelage.worlds.facts.world import FactsWorld, Prefixes

__all__ = [
    "GAMES",
    "Corruption",
    "FactsEvaluation",
    "FactsJudge",
    "FactsMeasures",
    "FactsRewriter",
    "FactsStream",
    "FactsSummary",
    "FactsTeacher",
    "FactsWorld",
    "Prefixes",
    "Scores",
    "honest",
    "measure",
    "score_all",
    "summarise",
    "wins",
]
