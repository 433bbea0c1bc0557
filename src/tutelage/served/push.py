"""Weights to a vLLM server: written to disk, loaded there while it is paused, and checked in two ways.

vLLM's transfer between devices (``/init_weight_transfer_engine``, ``/update_weights``) moves data by NCCL or CUDA IPC
alone. What works on every build is to let it load a folder anew (``/collective_rpc``, ``reload_weights``) between
``/pause`` and ``/resume``. Then the digests of its parameters are compared (``/weight_checker``), and the
log-probabilities of some texts: a parameter that it keeps in a form of its own tells by these alone.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tutelage.endpoints import FatalForRun, Retryable
from tutelage.policy import Policy
from tutelage.served.control import Control
from tutelage.served.digests import Compared, compare
from tutelage.types import Tokens

log = logging.getLogger(__name__)


class PushFailed(FatalForRun):
    """A server holds other weights than those it was sent."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """One push that was checked."""

    url: str
    version: int
    """Of the policy."""
    same: int
    """The server's parameters whose digest is the policy's."""
    unseen: int
    """Those that it keeps in a form of its own."""
    gap: float
    """Nats by which the log-probability of a probe's token differs most."""
    moved: float
    """Nats by which one differs most from what the server said before: had it kept its weights, it would be off by
    so much."""
    seconds: float


def push(
    control: Control, model: str, policy: Policy, folder: Path, name: str, probes: Sequence[Tokens], tolerance: float
) -> Pushed:
    """Let the server load ``folder``, which holds the weights of ``policy``, and check that it did.

    Args:
        control: the server's.
        model: its name for the model.
        policy: what it should compute.
        folder: written by ``write_folder``.
        name: what the server is to call these weights; told again by ``/weight_info``.
        probes: texts of two tokens or more, scored by both.
        tolerance: largest difference in nats.

    Raises:
        PushFailed: the digest of a parameter or the log-probability of a token differs.
        Retryable: the server went away.
    """
    started = time.perf_counter()
    before = [_told_logprobs(control, model, probe) for probe in probes]
    control.post("../pause", mode="wait")
    try:
        control.post("../collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}})
        control.post("../reset_prefix_cache")
    finally:
        control.post("../resume")
    found = _compare(control, policy)
    if found.wrong:
        raise PushFailed(
            f"{control.url} loaded {folder} and holds other weights than were written there in {len(found.wrong)} "
            f"parameters, such as {found.wrong[0]}: does it serve this model, unquantised, and see this folder?"
        )
    ours = [logprobs_of(policy, probe) for probe in probes]
    theirs = [_told_logprobs(control, model, probe) for probe in probes]
    gap = most_apart(ours, theirs)
    if not gap <= tolerance:
        raise PushFailed(
            f"{control.url} loaded {folder}, and its log-probabilities differ from this process's by up to {gap:.3g} "
            f"nats, more than {tolerance:g} (rollout_servers.tolerance): start it on that folder, which has the head "
            "apart from the embedding; if it computes in another precision, allow for that"
        )
    control.post("../update_weight_version", {"new_version": name})
    seconds = time.perf_counter() - started
    done = Pushed(control.url, policy.version, found.same, found.unseen, gap, most_apart(before, theirs), seconds)
    log.info("version %d pushed to %s in %.2f s: at most %.2g nats apart", policy.version, done.url, seconds, gap)
    return done


def logprobs_of(policy: Policy, tokens: Tokens) -> list[float]:
    """Log-probabilities (nats) of every token but the first."""
    ids = torch.tensor(tokens.array.astype("int64"), device=policy.device)[None]
    with torch.inference_mode(), policy.computing():
        logits: Any = policy.model(input_ids=ids, use_cache=False).logits
    told = logits[0, :-1].float().log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    return [float(value) for value in told]


def most_apart(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """The largest difference of two numbers in the same place; NaN where there is one, or nothing."""
    apart = [abs(a - b) for mine, theirs in zip(one, other, strict=True) for a, b in zip(mine, theirs, strict=True)]
    return math.nan if not apart or any(math.isnan(value) for value in apart) else max(apart)


def _compare(control: Control, policy: Policy) -> Compared:
    try:
        told: Any = control.post("../weight_checker", {"action": "checksum"}).get("checksums")
    except FatalForRun:  # an older vLLM: the log-probabilities alone have to do
        return Compared(0, 0, ())
    if not isinstance(told, dict):
        raise Retryable(f"{control.url} told no checksums")
    return compare({str(key): str(value) for key, value in told.items()}, policy.model.state_dict())


def _told_logprobs(control: Control, model: str, tokens: Tokens) -> list[float]:
    """What the server finds of ``tokens``: it computes them anew, whatever its cache holds."""
    body = {"model": model, "prompt": tokens.tolist(), "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 1}
    plain = control.post("completions", body | {"add_special_tokens": False})
    try:
        entries: Any = plain["choices"][0]["prompt_logprobs"][1:]
        found = [float(e[str(token)]["logprob"]) for e, token in zip(entries, tokens.tolist()[1:], strict=True)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FatalForRun(f"{control.url} tells no prompt_logprobs, which the check of a push needs") from error
    return found
