"""Teachers behind servers: asked by many at a time, repeated where they fail, counted by role, never guessed for."""

from tutelage.endpoints.budget import LEDGER
from tutelage.endpoints.cache import drop_settled
from tutelage.endpoints.errors import EndpointError, FatalForRun, FatalForSample, Retryable
from tutelage.endpoints.model import Endpoint, EndpointModel, forget
from tutelage.endpoints.settings import AnswerCache, Cap, Price, Requests

__all__ = [
    "LEDGER",
    "AnswerCache",
    "Cap",
    "Endpoint",
    "EndpointError",
    "EndpointModel",
    "FatalForRun",
    "FatalForSample",
    "Price",
    "Requests",
    "Retryable",
    "drop_settled",
    "forget",
]
