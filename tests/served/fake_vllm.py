"""As much of vLLM as taking weights and sampling from them needs, over a model in this process."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file

from tutelage.codec import HFCodec
from tutelage.served.digests import FUSED, digest
from tutelage.weights import Pretrained, load_model

STARTED = "default"
"""What vLLM calls the weights that it was started with."""


class FakeVllm:
    """A server of one model; set the attributes while it runs to change what it does."""

    def __init__(self, folder: Path, codec: HFCodec) -> None:
        self.model = load_model(Pretrained(str(folder)), codec, seed=0, device=torch.device("cpu"))
        self.eos = codec.eos
        self.version = STARTED
        self.keeps_weights = False
        """Says that it loaded, and did not."""
        self.packs = False
        """Keeps its parameters in a form of its own."""
        self.takes_weights = True
        """Has the routes for it."""
        self.listed: dict[str, Any] = {}
        """What its list of models says besides the name."""
        self.is_paused = False
        self.called: list[str] = []
        self.before_answer: Callable[[dict[str, Any]], None] = lambda answer: None
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, body: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
        route = path.partition("?")[0].removeprefix("/")
        with self._lock:
            if route != "weight_info":
                self.called.append(route)
            if route == "v1/models":
                return 200, {"data": [{"id": "policy"} | self.listed]}
            if route == "v1/completions":
                told = self._complete(body) | {"id": f"cmpl-{name}"}
                self.before_answer(told)
                return 200, told
            return (200, self._steer(route, body)) if self.takes_weights else (404, {"detail": "Not Found"})

    def _steer(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        match route:
            case "pause" | "resume":
                self.is_paused = route == "pause"
            case "collective_rpc":
                assert self.is_paused and body["method"] == "reload_weights"
                self._load(Path(body["kwargs"]["weights_path"]))
            case "weight_checker":
                return {"checksums": self._checksums()}
            case "update_weight_version":
                self.version = body["new_version"]
            case "weight_info":
                return {"weight_version": self.version}
            case _:
                assert route == "reset_prefix_cache"
        return {}

    def _load(self, folder: Path) -> None:
        if not self.keeps_weights:
            files = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
            self.model.load_state_dict({name: t for file in files for name, t in file.items()})

    def _checksums(self) -> dict[str, str]:
        state, found = self.model.state_dict(), {}
        fused = {part: joined for joined, parts in FUSED.items() for part in parts}
        for name, tensor in state.items():
            part = next((p for p in fused if f".{p}." in name), None)
            if part is None:
                found[name] = tensor
            elif part == FUSED[fused[part]][0]:
                parts = [state[name.replace(part, other)] for other in FUSED[fused[part]]]
                found[name.replace(part, fused[part])] = torch.cat(parts)
        empty = torch.empty(0)
        return {f"dp0:tp0:{name}": digest(empty if self.packs else t) for name, t in found.items()}

    @torch.inference_mode()
    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt: list[int] = body["prompt"]
        tokens, logprobs = list(prompt), list[float]()
        generator = torch.Generator().manual_seed(body.get("seed", 0))
        while len(logprobs) < body["max_tokens"]:
            told = self._logprobs(tokens)[-1]
            greedy = body["temperature"] == 0
            picked = int(told.argmax() if greedy else torch.multinomial(told.exp(), 1, generator=generator))
            tokens.append(picked)
            logprobs.append(float(told[picked]))
            if picked == self.eos:
                break
        written = tokens[len(prompt) :]
        choice: dict[str, Any] = {
            "token_ids": written,
            "prompt_token_ids": prompt,
            "logprobs": {"token_logprobs": logprobs},
            "finish_reason": "stop" if written[-1] == self.eos else "length",
        }
        if "prompt_logprobs" in body:
            rows = self._logprobs(prompt)
            told = [{str(t): {"logprob": float(rows[i][t])}} for i, t in enumerate(prompt[1:])]
            choice["prompt_logprobs"] = [None, *told]
        return {"choices": [choice]}

    def _logprobs(self, tokens: list[int]) -> torch.Tensor:
        return self.model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: dict[str, Any]) -> None:
                status, told = fake.answer(self.path, body, self.headers.get("X-Request-Id", "none"))
                content = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
