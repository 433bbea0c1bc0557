"""A small server that answers ``POST /run_code`` as SandboxFusion does: the script runs, files beside it."""

import base64
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = tuple[int, bytes]
Respond = Callable[[dict[str, Any]], Answer]


def run(request: dict[str, Any]) -> Answer:
    """What the real one does, without its isolation."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in request["files"].items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(content))
        script = Path(folder) / "script.py"
        script.write_text(request["code"], "utf-8")
        command = [sys.executable, "-S", str(script)]
        result: dict[str, Any] = {"execution_time": 0.1, "return_code": None, "stdout": "", "stderr": ""}
        try:
            done = subprocess.run(
                command,
                input=request["stdin"],
                capture_output=True,
                text=True,
                timeout=request["run_timeout"],
                cwd=folder,
                env={},
            )
            result |= {
                "status": "Finished",
                "return_code": done.returncode,
                "stdout": done.stdout,
                "stderr": done.stderr,
            }
        except subprocess.TimeoutExpired:
            result["status"] = "TimeLimitExceeded"
    status = "Success" if result["return_code"] == 0 else "Failed"
    return 200, json.dumps(
        {"status": status, "message": "", "compile_result": None, "run_result": result, "files": {}}
    ).encode()


@contextmanager
def serving(respond: Respond = run) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The server's address and the requests that it got."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({**request, "path": self.path})
            code, body = respond(request)
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
