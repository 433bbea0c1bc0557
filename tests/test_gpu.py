"""What only a GPU does: recorded steps, FlexAttention with its backward pass, mixed precision. ``make check-gpu``."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.families import Vocabulary
from torch import Tensor
from torch._dynamo.utils import counters

from tutelage import rng
from tutelage.collate import Batch, collate
from tutelage.decoding import fixed_steps, recorded
from tutelage.objectives import Lesson, OnlineDPO
from tutelage.policy import Policy
from tutelage.protocols import Sampled, SampleRequest
from tutelage.ranks import OneRank
from tutelage.sampler import InProcessSampler
from tutelage.scoring import Kernel
from tutelage.types import Group, Pair, Row, Segment, Tokens
from tutelage.update import Learner, Part, update
from tutelage.weights import FromConfig, load_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # Compilers warn of the machine that they find (cores, TF32, deprecated calls of their own).
    pytest.mark.filterwarnings("default"),
]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
VOCABULARY = 97
LLAMA: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", LLAMA),
    "gemma": ("gemma", LLAMA | {"head_dim": 32, "num_key_value_heads": 1}),
    "gpt2": ("gpt2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 4096}),
}
"""Heads of 16 numbers or more, as FlexAttention's kernels ask."""


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> None:
    """What one test compiles counts for no other."""
    torch._dynamo.reset()
    counters.clear()


def policy_of(family: str, device: torch.device = CUDA, *, mixed: bool = False) -> Policy:
    """The same weights on every device, large enough to have opinions."""
    architecture, settings = FAMILIES[family]
    model = load_model(FromConfig(architecture, settings), Vocabulary(VOCABULARY), seed=0, device=CPU)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embed" not in name:
                parameter.mul_(3)
    return Policy(model.to(device), mixed=mixed)  # pyright: ignore[reportArgumentType]


def text(length: int, *key: int) -> Tokens:
    return Tokens(rng.generator("text", length, *key).integers(1, VOCABULARY, length))


def group(prefix: int, *lengths: int) -> Group:
    """Continuations of so many tokens behind one prefix."""
    trunk = Segment(text(prefix), ntp_weight=1.0)
    return Group(tuple(Row((trunk, Segment(text(n, i), trained=True))) for i, n in enumerate(lengths)))


def packed(*groups: Group) -> Batch:
    (batch,) = collate(groups, max_tokens=1 << 20)
    return batch.to(CUDA)


def gradients(policy: Policy, batch: Batch, kernel: Kernel) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities, and the gradient of a sum of them with unequal weights."""
    policy.ways = replace(policy.ways, kernel=kernel, runs_from=0)
    policy.model.zero_grad()
    logprobs = policy.score(batch).logprobs
    (logprobs * torch.linspace(-1, 1, len(logprobs), device=logprobs.device)).sum().backward()
    return logprobs.detach(), {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Relative to each gradient's norm."""
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        difference = float((found[name].cpu() - gradient.cpu()).norm())
        assert difference <= tolerance * max(float(gradient.norm()), 1e-3), name


# ------------------------------------------------------------------ attention


@pytest.mark.parametrize("family", list(FAMILIES))
def test_flex_attention_is_chosen_and_equals_the_dense_mask_forward_and_backward(family: str):
    policy = policy_of(family)
    assert (policy.layout, policy.ways.kernel) == ("trees", "flex")
    batch = packed(group(150, 40, 7, 1), group(30, 90), group(300, 20, 20))
    assert batch.last is not None and batch.tokens.shape[1] % 128
    scores, grads = gradients(policy, batch, "flex")
    expected, their_grads = gradients(policy, batch, "dense")
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
    assert_near(grads, their_grads, 1e-3)


def test_flex_attention_equals_the_dense_mask_in_mixed_precision():
    """Each kernel rounds in its own places. On a CPU, bfloat16 is 0.0025 nats and 1.6 % of a gradient from float32."""
    batch = packed(group(150, 40, 7, 1), group(300, 20, 20))
    policy = policy_of("llama", mixed=True)
    assert policy.ways.kernel == "flex"
    scores, grads = gradients(policy, batch, "flex")
    expected, their_grads = gradients(policy, batch, "dense")
    assert float((scores - expected).abs().mean()) < 0.01
    assert_near(grads, their_grads, 0.05)


def test_an_update_on_the_gpu_is_that_of_flat_rows_on_the_cpu():
    pairs = [Pair(*group(prefix, 20, 33).rows) for prefix in (300, 70, 520)]
    found: list[dict[str, Tensor]] = []
    for device in (CUDA, CPU):
        policy = policy_of("llama", device)
        policy.ways = replace(policy.ways, layout="trees" if device == CUDA else "flat")
        reference = policy.frozen_copy()
        with torch.no_grad():  # away from the reference, where DPO's gradient hangs on both models
            for i, parameter in enumerate(policy.model.parameters()):
                parameter.mul_(1 + 0.02 * (i % 3))
        optimizer = torch.optim.SGD([{"params": list(policy.model.parameters()), "scale": 1.0}], lr=0.0)
        learner = Learner(policy, (optimizer,), OneRank(), 1 << 20, float("inf"))
        part = Part(OnlineDPO(ntp_weight=0.5), tuple(Lesson(pair) for pair in pairs), 1.0)
        update(learner, reference, (part,), 0.0)
        found.append({n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None})
    assert_near(found[0], found[1], 1e-3)


def test_texts_of_random_lengths_are_compiled_a_few_times_and_not_once_each():
    """Widths are bucketed and then dynamic; past dynamo's limit FlexAttention would silently run uncompiled."""
    policy = policy_of("llama")
    policy.ways = replace(policy.ways, kernel="flex", runs_from=0)
    torch._dynamo.reset()
    counters.clear()
    lengths = rng.generator("lengths").integers(20, 900, (20, 3, 4))
    compiled: list[int] = []
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for step, many in enumerate(lengths.tolist()):
            batch = packed(*(group(prefix, *ends) for prefix, *ends in many[: 1 + step % 3]))
            policy.score(batch).logprobs.sum().backward()
            compiled.append(counters["stats"]["unique_graphs"])
    # One that knows no width, one that takes any; and the same for one sequence, which is a case of its own.
    assert 1 <= compiled[-1] <= 4 and compiled[-1] == compiled[9], compiled


# ------------------------------------------------------------------ sampling


def forks(count: int, seeds: int = 4, tokens: int = 24) -> list[SampleRequest]:
    """Cuts of two documents, each with its own seeds: trunks of unequal length, forks inside them."""
    documents = [text(40, 1), text(61, 2)]
    return [
        SampleRequest(d[: 10 + 9 * i], tuple(rng.seed("fork", j, i, k) for k in range(seeds)), tokens)
        for i in range(count)
        for j, d in enumerate(documents)
    ]


def assert_same(ours: Sequence[tuple[Sampled, ...]], theirs: Sequence[tuple[Sampled, ...]]) -> None:
    """The same tokens, and log-probabilities that are equal up to rounding."""
    for written, other in zip(ours, theirs, strict=True):
        for a, b in zip(written, other, strict=True):
            assert a.tokens == b.tokens
            torch.testing.assert_close(
                torch.tensor(a.logprobs.array), torch.tensor(b.logprobs.array), atol=1e-4, rtol=0
            )


def trainer_logprobs(policy: Policy, request: SampleRequest, sampled: Sampled) -> Tensor:
    row = Row((Segment(request.prefix), Segment(sampled.tokens, trained=True)))
    (batch,) = collate([Group((row,))], max_tokens=1000, layout="flat")
    with torch.no_grad():
        return policy.score(batch).logprobs.cpu()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_recorded_steps_say_what_plain_steps_and_copies_of_the_trunk_say(family: str):
    policy = policy_of(family)
    sampler = InProcessSampler(policy, eos=0)
    assert sampler._sharing is recorded
    played = sampler.sample(forks(4))
    sampler._sharing = fixed_steps
    assert_same(played, sampler.sample(forks(4)))
    sampler._sharing = None
    assert_same(played, sampler.sample(forks(4)))
    for request, written in zip(forks(4), played, strict=True):
        for sampled in written:
            expected = trainer_logprobs(policy, request, sampled)
            torch.testing.assert_close(torch.tensor(sampled.logprobs.array), expected, atol=1e-4, rtol=0)


def test_steps_recorded_after_an_update_are_of_the_new_weights():
    policy = policy_of("llama")
    sampler = InProcessSampler(policy, eos=0)
    before = sampler.sample(forks(3))
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.1)
    after = sampler.sample(forks(3))
    assert [s.tokens for w in after for s in w] != [s.tokens for w in before for s in w]
    sampler._sharing = fixed_steps
    assert_same(after, sampler.sample(forks(3)))


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Do something over and over in another thread; what it fails with is found in the list."""
    over, failed = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not over.is_set():
                work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failed
    finally:
        over.set()
        thread.join()


def test_a_judge_that_computes_in_its_own_thread_does_not_spoil_a_recording():
    policy = policy_of("llama")
    sampler, judge = InProcessSampler(policy, eos=0), deepcopy(policy.model)
    ids = torch.arange(1, 33, device=CUDA)[None]
    expected = sampler.sample(forks(3))

    @torch.inference_mode()
    def judging() -> None:
        judge(input_ids=ids).logits.sum().item()

    with meanwhile(judging) as failed:
        found = [sampler.sample(forks(3)) for _ in range(3)]
    assert not failed
    for said in found:
        assert_same(said, expected)


def test_mixed_precision_samples_and_scores_what_float32_does_up_to_its_rounding():
    """Sampler and trainer round in different places. On a CPU they are 0.002 nats apart, and 0.003 from float32."""
    mixed, plain = policy_of("llama", mixed=True), policy_of("llama")
    sampler = InProcessSampler(mixed, eos=0)
    assert sampler._sharing is recorded
    asked = forks(4)
    apart: list[Tensor] = []
    for request, written in zip(asked, sampler.sample(asked), strict=True):
        for sampled in written:
            said = torch.tensor(sampled.logprobs.array)
            assert torch.isfinite(said).all() and len(said) == len(sampled.tokens)
            apart.append(
                torch.stack(
                    [
                        said - trainer_logprobs(mixed, request, sampled),
                        trainer_logprobs(mixed, request, sampled) - trainer_logprobs(plain, request, sampled),
                    ]
                )
            )
    sampler_and_trainer, mixed_and_plain = torch.cat(apart, 1).abs().mean(1).tolist()
    assert 0 < mixed_and_plain < 0.01 and sampler_and_trainer < 0.01


def test_mixed_precision_learns_along_float32s_gradient():
    batch = packed(group(150, 40, 7, 1), group(300, 20, 20))
    found: list[Tensor] = []
    for mixed in (True, False):
        policy = policy_of("llama", mixed=mixed)
        assert {p.dtype for p in policy.model.parameters()} == {torch.float32}
        _, grads = gradients(policy, batch, policy.ways.kernel)
        found.append(torch.cat([gradient.flatten() for gradient in grads.values()]))
    assert float(torch.nn.functional.cosine_similarity(*found, dim=0)) > 0.999
