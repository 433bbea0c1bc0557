"""Teachers behind servers: asked by many at a time, repeated where they fail, counted by role, never guessed for."""

from tutelage.endpoints.background import call_back
from tutelage.endpoints.balancing import ENDING
from tutelage.endpoints.budget import LEDGER, read_books
from tutelage.endpoints.cache import drop_settled
from tutelage.endpoints.errors import Ended, EndpointError, FatalForRun, FatalForSample, Retryable
from tutelage.endpoints.model import Endpoint, EndpointModel, forget
from tutelage.endpoints.settings import HOW_ASKED, AnswerCache, Cap, Price, Requests, deciding
from tutelage.endpoints.survey import Look, Served, survey

__all__ = [
    "ENDING",
    "HOW_ASKED",
    "LEDGER",
    "AnswerCache",
    "Cap",
    "Ended",
    "Endpoint",
    "EndpointError",
    "EndpointModel",
    "FatalForRun",
    "FatalForSample",
    "Look",
    "Price",
    "Requests",
    "Retryable",
    "Served",
    "call_back",
    "deciding",
    "drop_settled",
    "forget",
    "read_books",
    "survey",
]
