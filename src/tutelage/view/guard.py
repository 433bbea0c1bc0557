"""Who may ask. A page of a stranger must not read a run through the reader's own browser.

Refused are requests whose ``Host`` is not ours (a name of a stranger's that was made to point here), and those that
another page makes. Answers forbid the browser every script, style and connection but our own.
"""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Around an application: refuses strangers and marks every answer."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer with 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        why = refusal(scope["path"], Headers(scope=scope), self._names)
        app = PlainTextResponse(why + "\n", 403) if why else self._app
        await app(scope, receive, marked)


def refusal(path: str, headers: Headers, names: frozenset[str]) -> str:
    """Why a request is refused; empty where it is not."""
    hosts = headers.getlist("host")
    name = re.sub(r":\d{1,5}$", "", hosts[0]).lower() if len(hosts) == 1 else ""
    if name not in names:
        return f"this server does not answer to that name; open it as {' or '.join(sorted(names))}"
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"):
        return "another page asked for this; open the address itself"
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin"):
        return ""
    # A link to the page may be followed from anywhere; what it says stays out of the other page's sight.
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return "" if path == "/" and followed else "another page asked for this; open the address itself"
