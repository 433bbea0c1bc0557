"""One step: who is taught, how parts are weighed, what is counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families import build
from tests.tiny import LengthJudge, outcome, tiny_phase, tiny_run, train_all

from tutelage import rng
from tutelage import update as updating
from tutelage.collate import Batch, collate
from tutelage.loop import advance, check_judges
from tutelage.metrics import reduce
from tutelage.objectives import GRPO, NTP, Lesson, Objective, OnlineDPO
from tutelage.phases import Progress
from tutelage.policy import Policy
from tutelage.ranks import OneRank
from tutelage.run import Checkpointing
from tutelage.scoring import Scores
from tutelage.sources import RolloutSource, SuffixSource
from tutelage.types import Group, Item, Pair, Row, Segment, Tokens
from tutelage.update import Learner, Part, RunStopped, update


def learner_of(policy: Policy, clip: float = float("inf"), rate: float = 0.0) -> Learner:
    optimizer = torch.optim.SGD([{"params": list(policy.model.parameters()), "scale": 1.0}], lr=rate)
    return Learner(policy, (optimizer,), OneRank(), 1 << 20, clip)


def document(*ids: int) -> Item:
    return Group((Row((Segment(Tokens(ids), trained=True),)),))


def gradient(policy: Policy) -> torch.Tensor:
    return torch.cat([p.grad.reshape(-1) for p in policy.model.parameters() if p.grad is not None])


def test_parts_weigh_by_their_share_of_the_documents():
    policy = build("gpt2", "float64")
    one, two = (Lesson(document(*ids)) for ids in ((1, 2, 3, 4), (5, 6, 7)))

    def of(*parts: Part) -> tuple[float, torch.Tensor]:
        numbers = reduce(update(learner_of(policy), None, parts, 0.0), OneRank())
        return numbers["loss/total"], gradient(policy)

    loss_one, gradient_one = of(Part(NTP(), (one,), 1.0))
    loss_two, gradient_two = of(Part(NTP(), (two,), 1.0))
    loss, both = of(Part(NTP(), (one,), 0.75), Part(NTP(), (two,), 0.25))
    assert loss == pytest.approx(0.75 * loss_one + 0.25 * loss_two, rel=1e-12)
    assert torch.allclose(both, 0.75 * gradient_one + 0.25 * gradient_two, rtol=1e-9, atol=1e-12)
    together, _ = of(Part(NTP(), (one, two), 1.0))
    assert together == pytest.approx((3 * loss_one + 2 * loss_two) / 5, rel=1e-12)


def test_the_gradient_is_clipped_by_its_norm_before_the_update():
    policy = build("gpt2", "float64")
    before = [p.detach().clone() for p in policy.model.parameters()]
    parts = (Part(NTP(), (Lesson(document(1, 2, 3, 4)),), 1.0),)
    numbers = reduce(update(learner_of(policy, clip=0.01), None, parts, 2.0), OneRank())
    moved = torch.sqrt(sum(((p - b) ** 2).sum() for p, b in zip(policy.model.parameters(), before, strict=True)))
    assert numbers["policy/gradient_norm"] > 0.05 and policy.version == 1
    assert float(moved.detach()) == pytest.approx(2.0 * 0.01, rel=1e-3)


def test_each_group_of_parameters_moves_at_its_own_scale():
    policy = build("gpt2", "float64")
    parameters = list(policy.model.parameters())
    groups = [{"params": parameters[:3], "scale": 1.0}, {"params": parameters[3:], "scale": 0.25}]
    optimizer = torch.optim.SGD(groups, lr=0.0)
    before = [p.detach().clone() for p in parameters]
    learner = Learner(policy, (optimizer,), OneRank(), 1 << 20, float("inf"))
    update(learner, None, (Part(NTP(), (Lesson(document(1, 2, 3, 4)),), 1.0),), 0.5)
    for i, (parameter, was) in enumerate(zip(parameters, before, strict=True)):
        assert parameter.grad is not None
        rate = 0.5 if i < 3 else 0.125
        assert torch.allclose(was - parameter, rate * parameter.grad, rtol=1e-9, atol=1e-14)


def test_a_step_with_nothing_to_learn_from_passes():
    policy = build("gpt2", "float64")
    silent = document(7)
    for lessons in ((), (Lesson(None),), (Lesson(silent),)):
        numbers = reduce(update(learner_of(policy), None, (Part(NTP(), lessons, 1.0),), 1.0), OneRank())
        assert numbers["loss/total"] == 0 and numbers["policy/gradient_norm"] == 0
        assert not gradient(policy).any()


def test_packed_tokens_are_counted_once_a_tree():
    policy = build("gpt2", "float64")
    trunk = Segment(Tokens([1, 2, 3]))
    pair = Pair(*(Row((trunk, Segment(Tokens(ids), trained=True))) for ids in ([4, 5], [6])))
    part = Part(OnlineDPO(), (Lesson(pair),), 1.0)
    numbers = reduce(update(learner_of(policy), policy.frozen_copy(), (part,), 0.0), OneRank())
    assert numbers["tokens/trained"] == 6 and numbers["loss/dpo"] == pytest.approx(0.6931471805599453)


def test_documents_that_are_not_taught_train_as_plain_text(tiny_tokenizer: Path, tmp_path: Path):
    phase = tiny_phase(taught_share=0.5, documents_per_step=8, steps=6, sources=(SuffixSource(), RolloutSource(2)))
    run = tiny_run(tiny_tokenizer, phase, seed=3)
    _, reports = train_all(run, tmp_path)
    counts = [(len(r.take.judged), len(r.take.plain)) for r in reports]
    assert all(a + b == 8 for a, b in counts) and len(set(counts)) > 1 and 12 < sum(a for a, _ in counts) < 36
    for report in reports:
        taught = [j.pool.chunk for j in report.take.judged]
        assert all(rng.uniform(3, "taught", *chunk.document.key) < 0.5 for chunk in taught)
        assert all(rng.uniform(3, "taught", *chunk.document.key) >= 0.5 for chunk in report.take.plain)
        assert len(report.lessons) == len(taught) and report.metrics["loss/nll"] > 0
        assert report.metrics["loss/total"] == pytest.approx(
            len(taught) / 8 * (report.metrics["loss/dpo"] + 0.5 * report.metrics["loss/ntp"])
            + (1 - len(taught) / 8) * report.metrics["loss/nll"],
            rel=1e-5,
        )


def test_nothing_taught_is_plain_pretraining(tiny_tokenizer: Path, tmp_path: Path):
    untaught = tiny_run(tiny_tokenizer, tiny_phase(taught_share=0.0, steps=3))
    plain = tiny_run(tiny_tokenizer, tiny_phase(NTP(), 3, sources=(), judges=()))
    train_all(untaught, tmp_path / "untaught")
    train_all(plain, tmp_path / "plain")
    assert outcome_weights(tmp_path / "untaught") == outcome_weights(tmp_path / "plain")


def outcome_weights(directory: Path) -> dict[str, bytes]:
    from safetensors.torch import load_file

    return {k: v.numpy().tobytes() for k, v in load_file(directory / "hf" / "model.safetensors").items()}


def test_the_size_of_micro_batches_moves_rounding_alone(tiny_tokenizer: Path, tmp_path: Path):
    phase = tiny_phase(judges=(LengthJudge(),), steps=2)
    large, small = (tiny_run(tiny_tokenizer, phase, max_tokens_per_batch=n) for n in (100_000, 40))
    train_all(large, tmp_path / "large")
    train_all(small, tmp_path / "small")
    one, two = (outcome(tmp_path / name) for name in ("large", "small"))
    for a, b in zip(one.metrics, two.metrics, strict=True):
        for name in ("loss/total", "loss/dpo", "loss/ntp", "policy/gradient_norm", "tokens/trained"):
            assert a[name] == pytest.approx(b[name], rel=1e-4), name


def test_progress_adds_up_and_remembers_what_is_watched():
    progress = Progress()
    for loss in (3.0, 2.0, 1.0):
        numbers = {"tokens/trained": 10.0, "tokens/sampled": 4.0, "loss": loss, "other": 1.0}
        progress = advance(progress, numbers, {"loss": 2, "missing": 3})
    assert (progress.step, progress.phase_step, progress.trained_tokens, progress.sampled_tokens) == (3, 3, 30, 12)
    assert progress.watched("loss") == (2.0, 1.0) and progress.watched("missing") == () == progress.watched("other")


def test_abstentions_are_judged_by_axis_and_not_by_source(tiny_tokenizer: Path, tmp_path: Path):
    _, (report,) = train_all(tiny_run(tiny_tokenizer, tiny_phase(steps=1), checkpoint=Checkpointing()), tmp_path)
    check_judges(report.take, {"abstained/quality": 0.5, "abstained/quality/rewrite": 1.0}, 0.5)
    with pytest.raises(RuntimeError, match=r"judge of safety abstained on 60%.*another rank holds its words"):
        check_judges(report.take, {"abstained/safety": 0.6}, 0.5)


def pairs(count: int) -> list[Item]:
    return [
        Pair(*(Row((Segment(Tokens([i, 2, 3])), Segment(Tokens([4, k]), trained=True))) for k in (5, 6)))
        for i in range(count)
    ]


def limited(policy: Policy, monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Have the policy fail on more tokens than ``most``, as a GPU would; returns what was tried."""
    tried: list[int] = []
    score = policy.score

    def scored(batch: Batch) -> Scores:
        tried.append(batch.num_tokens)
        scores = score(batch)
        if batch.num_tokens > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return scores

    monkeypatch.setattr(policy, "score", scored)
    return tried


def test_an_update_that_does_not_fit_in_memory_is_made_in_smaller_micro_batches_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    policy = build("gpt2", "float64")
    reference = policy.frozen_copy()
    lessons = tuple(Lesson(item) for item in pairs(8))
    found: list[torch.Tensor] = []
    for most in (1000, 20):
        learner = learner_of(policy)
        learner.max_tokens = 1000
        with monkeypatch.context() as patch:
            tried = limited(policy, patch, most)
            update(learner, reference, (Part(OnlineDPO(), lessons, 1.0),), 0.0)
        found.append(gradient(policy))
    assert tried[0] == 48 and learner.max_tokens == 12 and max(tried[-4:]) <= 20
    assert [r.message for r in caplog.records] == [
        f"out of memory in an update: micro-batches of {n} tokens from now on (max_tokens_per_batch)" for n in (24, 12)
    ]
    torch.testing.assert_close(found[1], found[0], atol=1e-12, rtol=1e-12)


def test_an_item_that_does_not_fit_stops_the_run_and_says_what_helps(monkeypatch: pytest.MonkeyPatch):
    policy = build("gpt2")
    limited(policy, monkeypatch, 3)
    lessons = tuple(Lesson(item) for item in pairs(4))
    before = policy.model.state_dict()["transformer.wte.weight"].clone()
    with pytest.raises(RunStopped, match="a single item of 6 tokens: set save_memory, or lower num_rollouts"):
        update(learner_of(policy, rate=1.0), policy.frozen_copy(), (Part(OnlineDPO(), lessons, 1.0),), 1.0)
    assert torch.equal(policy.model.state_dict()["transformer.wte.weight"], before)


def test_a_row_longer_than_the_context_stops_the_update_and_says_what_to_lower():
    policy = build("gpt2")
    lessons = tuple(Lesson(document(*[1 + i % 20 for i in range(n)])) for n in (3, 65))
    with pytest.raises(
        ValueError, match=r"a row of 65 tokens exceeds the model's context of 64: lower stream\.max_length"
    ):
        update(learner_of(policy), None, (Part(NTP(), lessons, 1.0),), 0.0)
    assert policy.version == 0
    update(learner_of(policy), None, (Part(NTP(), (Lesson(document(*[1] * 64)),), 1.0),), 0.0)


@pytest.mark.parametrize("objective", [OnlineDPO(), GRPO(kl_weight=0.1)], ids=["dpo", "grpo"])
def test_an_objective_that_compares_with_a_reference_is_not_run_without_one(objective: Objective):
    policy = build("gpt2")
    with pytest.raises(ValueError, match="compares with a reference: give one"):
        update(learner_of(policy), None, (Part(objective, tuple(map(Lesson, pairs(2))), 1.0),), 0.0)
    assert policy.version == 0


def test_items_are_packed_once_and_again_only_where_memory_does_not_suffice(monkeypatch: pytest.MonkeyPatch):
    policy, packed = build("gpt2", "float64"), list[int]()

    def counted(items: Sequence[Item], *, max_tokens: int, **how: Any) -> list[Batch]:
        packed.append(max_tokens)
        return collate(items, max_tokens=max_tokens, **how)

    monkeypatch.setattr(updating, "collate", counted)
    parts = tuple(Part(OnlineDPO(), tuple(Lesson(item) for item in pairs(n)), 0.5) for n in (8, 3))
    learner = learner_of(policy)
    learner.max_tokens = 1000
    update(learner, policy.frozen_copy(), parts, 0.0)
    assert packed == [1000, 1000]
    limited(policy, monkeypatch, 24)
    update(learner, policy.frozen_copy(), parts, 0.0)
    assert packed == [1000] * 4 + [24] * 2


def test_other_errors_of_an_update_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch):
    policy = build("gpt2")
    monkeypatch.setattr(policy, "score", lambda batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        update(learner_of(policy), None, (Part(NTP(), (Lesson(document(1, 2, 3)),), 1.0),), 0.0)
