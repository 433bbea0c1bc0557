"""A vLLM on this machine's processor, started on a folder and ended again; in its own environment (make peers)."""

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
STARTING_S = 240.0


def vllm_python() -> Path:
    """The Python that has vLLM: TUTELAGE_VLLM, or what ``make peers`` installs."""
    return Path(os.environ.get("TUTELAGE_VLLM", ROOT / ".venv-vllm" / "bin" / "python"))


class NoServer(RuntimeError):
    """A vLLM did not come up."""


class Vllm:
    """One server; entering begins to start it, ``ready`` waits until it answers."""

    def __init__(self, folder: Path, model: str, *, context: int, log: Path, takes_weights: bool = False) -> None:
        self._folder = folder.resolve()
        self._model = model
        self._context = context
        self._log = log
        self._takes_weights = takes_weights
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        command = [str(vllm_python()), "-m", "vllm.entrypoints.openai.api_server", "--model", str(self._folder)]
        command += ["--served-model-name", self._model, "--dtype", "float32", "--enforce-eager"]
        command += ["--max-model-len", str(self._context), "--max-logprobs", "20", "--generation-config", "vllm"]
        # A seeded prompt that vLLM reads in parts ends its engine on a CPU (0.32): generators there have no offset.
        command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096"]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
        settings |= {"VLLM_LOGGING_LEVEL": "WARNING", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        settings |= {"VLLM_SERVER_DEV_MODE": "1"} if self._takes_weights else {}
        environment = {**os.environ, **settings}
        environment.pop("PYTHONPATH", None)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as out:
            self._process = subprocess.Popen(command, env=environment, cwd=self._log.parent, stdout=out, stderr=out)
        return self

    def ready(self) -> Self:
        """Itself, when it answers.

        Raises:
            NoServer: it ended, or took too long; with the end of its log.
        """
        end = time.monotonic() + STARTING_S
        while not self._is_up():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > end:
                raise NoServer(f"vLLM did not start on {self._folder}:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
