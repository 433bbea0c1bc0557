"""The page's server: routes that answer with data, one that streams what changed, and the page's own files."""

import asyncio
import json
import math
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

import tutelage
from tutelage.samples import TornSamples
from tutelage.view.asking import Asked, asked_query
from tutelage.view.difference import TooLong, difference
from tutelage.view.guard import LOOPBACK, Guard
from tutelage.view.panels import figures
from tutelage.view.pools import TEXT_LIMIT, NotThere, pool_list, pool_rows, whole_pool
from tutelage.view.search import BadQuery, Place, search
from tutelage.view.shelf import Gone
from tutelage.view.watching import WatchedRun

PACE = 1.0
"""Seconds between two looks at the files of the runs."""
ALIVE = 15.0
"""Seconds after which a stream says that it is still there."""
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": PAGE / "index.html",
    "/report.css": Path(tutelage.__file__).parent / "report" / "page.css",
    **{f"/{path.name}": path for path in sorted(PAGE.iterdir()) if path.suffix in (".css", ".js", ".svg")},
}
"""All that is served besides data: no name in a request is ever looked up on the disk."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def application(runs: Sequence[WatchedRun], names: Sequence[str] = (), stopping: Callable[[], bool] = bool) -> ASGIApp:
    """The server of ``runs``, called by the loopback's names and ``names``; streams end once ``stopping`` says so."""
    routes = [Route(path, _file(where)) for path, where in FILES.items()]
    answers: dict[str, Callable[[Asked], Any]] = {
        "runs": lambda asked: [run.status() for run in runs],
        "figures": lambda asked: _figures(asked, runs),
        "samples": lambda asked: asked.run().samples(),
        "pools": lambda asked: pool_list(asked.run().contents(), asked.step()),
        "pool": _pool,
        "difference": _difference,
        "search": _search,
    }
    routes += [Route(f"/data/{name}", _answering(runs, answer)) for name, answer in answers.items()]
    routes.append(Route("/data/changes", _changes(runs, stopping)))
    return Guard(Starlette(routes=routes), [*LOOPBACK, *names])


def _file(path: Path) -> Callable[[Request], Response]:
    return lambda request: FileResponse(path, media_type=TYPES[path.suffix])


def _answering(runs: Sequence[WatchedRun], answer: Callable[[Asked], Any]) -> Callable[[Request], Response]:
    """Starlette calls it in a thread of its own, so that reading a file stops nobody."""

    def answered(request: Request) -> Response:
        try:
            return as_json(answer(Asked(request.query_params, runs)))
        except BadQuery as error:
            return as_json({"error": str(error)}, 400)
        except NotThere as error:
            return as_json({"error": str(error)}, 404)
        except (Gone, TornSamples) as error:
            return as_json({"error": str(error)}, 409)

    return answered


def as_json(found: Any, code: int = 200) -> Response:
    """An answer in ASCII, so that no text can break it; a number that is not finite is none."""
    text = json.dumps(_finite(found), separators=(",", ":"), allow_nan=False)
    return Response(text, code, media_type="application/json")


def _finite(found: Any) -> Any:
    match found:
        case float():
            return found if math.isfinite(found) else None
        case dict():
            return {key: _finite(value) for key, value in found.items()}
        case list() | tuple():
            return [_finite(value) for value in found]
        case _:
            return found


def _figures(asked: Asked, runs: Sequence[WatchedRun]) -> dict[str, Any]:
    shown = {number: runs[number].numbers for number in asked.runs()}
    for numbers in shown.values():
        numbers.refresh()
    return figures(shown)


def _pool(asked: Asked) -> dict[str, Any]:
    return whole_pool(asked.run().contents(), asked.step(), asked.key(), limit=None if asked.whole() else TEXT_LIMIT)


def _difference(asked: Asked) -> dict[str, Any]:
    rows = pool_rows(asked.run().contents(), asked.step(), asked.key())
    texts = {row["candidate"]: row["text"] for row in rows}
    suffix = next((row["text"] for row in rows if row["source"] == "suffix"), None)
    mine = texts.get(asked.number("candidate"))
    if suffix is None or mine is None:
        raise NotThere("the pool has no original suffix, or the text of this step was not kept")
    try:
        return {"parts": difference(suffix, mine), "why": ""}
    except TooLong as error:
        return {"parts": [], "why": str(error)}


def _search(asked: Asked) -> dict[str, Any]:
    place = asked.text("place")
    return search(asked.run().contents(), asked_query(asked), Place.parse(place) if place else None)


def _changes(runs: Sequence[WatchedRun], stopping: Callable[[], bool]) -> Callable[[Request], Any]:
    """Server-sent events: which runs wrote something since the last one, first of all every run."""

    async def told() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        known: list[Any] = [None] * len(runs)
        silent = 0.0
        while not stopping():
            marks = await asyncio.to_thread(lambda: [run.marks() for run in runs])
            for number, (old, new) in enumerate(zip(known, marks, strict=True)):
                if old != new:
                    samples = old is None or old["samples"] != new["samples"]
                    yield f"data: {json.dumps({'run': number, 'samples': samples})}\n\n"
                    silent = 0.0
            known = marks
            if silent >= ALIVE:
                yield ": still there\n\n"
                silent = 0.0
            for _ in range(4):
                if not stopping():
                    await asyncio.sleep(PACE / 4)
            silent += PACE

    async def stream(request: Request) -> Response:
        return StreamingResponse(told(), media_type="text/event-stream")

    return stream


def serve(runs: Sequence[WatchedRun], listening: socket.socket, names: Sequence[str] = ()) -> None:
    """Answer on a socket that is bound already, until a signal asks to end."""
    stop: list[uvicorn.Server] = []
    app = application(runs, names, lambda: bool(stop) and stop[0].should_exit)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=3
    )
    stop.append(uvicorn.Server(config))
    stop[0].run(sockets=[listening])
