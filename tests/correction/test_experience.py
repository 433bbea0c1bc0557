"""Episodes in exact tokens, keyed draws, attempts of others, and verifiers that fail."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.correction.parts import OPENED, SHAPE, NextDigit, answer_of, task

from tutelage.codec import HFCodec
from tutelage.correction import Correction, CorrectionExperience, FirstAttempts
from tutelage.episodes import Episode, EpisodeGroup
from tutelage.metrics import Mean, reduce
from tutelage.policy import Policy
from tutelage.protocols import Resources, Sampled, SampleRequest
from tutelage.ranks import OneRank
from tutelage.sampler import InProcessSampler
from tutelage.types import Abstained, Scored, Tokens
from tutelage.weights import FromConfig, load_model


class Counting:
    """A sampler that remembers what it was asked."""

    def __init__(self, inner: InProcessSampler) -> None:
        self.inner = inner
        self.asked: list[list[SampleRequest]] = []

    @property
    def version(self) -> int:
        return self.inner.version

    def sample(self, requests: list[SampleRequest]) -> list[tuple[Sampled, ...]]:
        self.asked.append(list(requests))
        return self.inner.sample(requests)


@pytest.fixture(scope="module")
def sampler(digits_codec: HFCodec) -> InProcessSampler:
    import torch

    model = load_model(FromConfig("llama", SHAPE), digits_codec, seed=0, device=torch.device("cpu"))
    return InProcessSampler(Policy(model), eos=digits_codec.eos)


def experience(
    codec: HFCodec, sampler: Any, spec: Correction | None = None, rank: int = 0, size: int = 1
) -> CorrectionExperience:
    spec = spec or task()
    reader = spec.open(0, codec)
    resources = Resources(5, codec, sampler, spec.max_new_tokens, Path("nowhere"))
    return CorrectionExperience(spec, reader, resources, cursor=reader.start(), rank=rank, size=size)


def whole(episode: Episode, turns: int) -> Tokens:
    """All tokens of the first attempts with what stands before them."""
    return Tokens.join([part for turn in episode.turns[:turns] for part in (turn.prompt, turn.completion)])


def written(group: EpisodeGroup) -> list[list[Tokens]]:
    """The attempts; their log-probabilities differ in the last bit with the batch."""
    return [[turn.completion for turn in episode.turns] for episode in group.episodes]


def test_first_attempts_share_a_request_and_every_second_one_continues_its_own_first(
    digits_codec: HFCodec, sampler: InProcessSampler
):
    counting = Counting(sampler)
    take = experience(digits_codec, counting, task(turns=3)).take(3)
    first, second, third = counting.asked
    assert [len(request.seeds) for request in first] == [6, 6, 6]
    assert sum(len(request.seeds) for request in second) == sum(len(request.seeds) for request in third) == 18
    assert len(take.episodes) == 3 and all(len(group.episodes) == 6 for group in take.episodes)
    for turns, requests in ((1, second), (2, third)):
        prefixes = {
            Tokens.join([whole(e, turns), e.turns[turns].prompt]) for group in take.episodes for e in group.episodes
        }
        assert {request.prefix for request in requests} == prefixes
    instruction, end = digits_codec.encode("again"), digits_codec.eos
    for turn in (e.turns[i] for g in take.episodes for e in g.episodes for i in (1, 2)):
        assert turn.prompt in (instruction, Tokens([end, *instruction.tolist()]))
    assert all(len(t.logprobs) == len(t.completion) for g in take.episodes for e in g.episodes for t in e.turns)


def test_rewards_and_answers_are_the_verifiers_but_for_attempts_that_were_cut_off(
    digits_codec: HFCodec, sampler: InProcessSampler
):
    spec = task(verifier=NextDigit(inverted=True), max_new_tokens=4)
    take = experience(digits_codec, sampler, spec).take(10)
    turns = [(g.problem, t) for g in take.episodes for e in g.episodes for t in e.turns]
    cut = [turn for _, turn in turns if turn.finish == "length"]
    assert 0 < len(cut) < len(turns)
    assert all(turn.reward == Scored(0.0) and turn.answer is None for turn in cut), "never rewarded as right"
    for problem, turn in turns:
        if turn.finish == "stop":
            said = answer_of(digits_codec.decode(turn.completion))
            assert turn.answer == said and turn.reward == Scored(float(said != problem.key))
    numbers = reduce(take.metrics, OneRank())
    first = [e.turns[0] for g in take.episodes for e in g.episodes]
    assert numbers["truncated/turn1"] == sum(t.finish == "length" for t in first) / len(first)


def test_an_attempt_that_was_cut_off_is_checked_where_the_task_says_so(
    digits_codec: HFCodec, sampler: InProcessSampler
):
    spec = task(verifier=NextDigit(inverted=True), max_new_tokens=4, turns=1, cut_off="checked")
    groups = experience(digits_codec, sampler, spec).take(10).episodes
    cut = [(g.problem, e.turns[0]) for g in groups for e in g.episodes if e.turns[0].finish == "length"]
    assert cut
    for problem, turn in cut:
        said = answer_of(digits_codec.decode(turn.completion))
        assert turn.answer == said and turn.reward == Scored(float(said != problem.key))


def test_draws_depend_on_the_problem_and_not_on_who_takes_it(digits_codec: HFCodec, sampler: InProcessSampler):
    alone = experience(digits_codec, sampler).take(5)
    ranks = [experience(digits_codec, sampler, rank=rank, size=2).take(5) for rank in range(2)]
    assert [len(take.episodes) for take in ranks] == [3, 2]
    several = {group.problem.id: written(group) for take in ranks for group in take.episodes}
    assert {group.problem.id: written(group) for group in alone.episodes} == several
    later = experience(digits_codec, sampler)
    later.take(10)
    texts = {group.problem.id: written(group) for group in alone.episodes}
    again = [group for group in later.take(10).episodes if group.problem.id in texts]
    assert all(group.epoch == 1 and written(group) != texts[group.problem.id] for group in again)


def test_what_was_proposed_ahead_is_what_would_have_been_taken(digits_codec: HFCodec, sampler: InProcessSampler):
    plain, queued = experience(digits_codec, sampler), experience(digits_codec, sampler)
    queued.propose(3)
    queued.propose(3)
    for _ in range(2):
        assert queued.take(3, max_staleness=1).episodes == plain.take(3).episodes
    queued.propose(3)
    with pytest.raises(ValueError, match="3 documents were proposed ahead; 2 cannot be taken"):
        queued.take(2)
    with pytest.raises(ValueError, match="must be at least 0"):
        plain.take(3, max_staleness=-1)
    queued.close()
    plain.close()


def test_a_verifier_lives_as_long_as_the_experience(digits_codec: HFCodec, sampler: InProcessSampler):
    OPENED.clear()
    one = experience(digits_codec, sampler)
    one.take(1)
    assert OPENED == ["open"]
    one.close()
    assert OPENED == ["open", "closed"]


def test_a_verifier_that_crashes_has_abstained_and_says_why(digits_codec: HFCodec, sampler: InProcessSampler):
    take = experience(digits_codec, sampler, task(verifier=NextDigit(broken=True))).take(4)
    stopped = [t for g in take.episodes for e in g.episodes for t in e.turns if t.finish == "stop"]
    assert stopped and all(t.reward == Abstained("NextDigit failed: OSError: the sandbox is gone") for t in stopped)
    total = sum(len(e.turns) for g in take.episodes for e in g.episodes)
    assert take.metrics["abstained/verifier"] == Mean(len(stopped), total)


def test_a_verifier_that_breaks_its_contract_is_named(
    digits_codec: HFCodec, sampler: InProcessSampler, monkeypatch: pytest.MonkeyPatch
):
    for name, value, complaint in (
        ("check", [], "NextDigit gave 0 answers"),
        ("check", None, "NextDigit gave a NoneType"),
        ("answers", [3] * 1000, "1000 answers"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(NextDigit, name, lambda *_, value=value: value)
            with pytest.raises(ValueError, match=complaint):
                experience(digits_codec, sampler).take(2)
    monkeypatch.setattr(NextDigit, "verdict", lambda *_: Scored(2.0))
    with pytest.raises(ValueError, match=r"2\.0 as the reward of an attempt at problem"):
        experience(digits_codec, sampler).take(2)


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    path = tmp_path / "attempts.jsonl"
    lines = [{"problem": f"digit-{i}", "attempt": f" {(i + shift) % 10}"} for i in range(10) for shift in (1, 2)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_share_of_the_episodes_begins_with_attempts_of_another_model(
    digits_codec: HFCodec, sampler: InProcessSampler, fixed: Path
):
    spec = task(first_attempts=FirstAttempts(str(fixed), share=0.5, author="base"))
    take = experience(digits_codec, sampler, spec).take(10)
    episodes = [(g.problem, e) for g in take.episodes for e in g.episodes]
    theirs = [(problem, e) for problem, e in episodes if e.first_attempt_by == "base"]
    assert 15 < len(theirs) < 45 and take.metrics["episodes/offline"] == Mean(len(theirs), 60)
    for problem, episode in theirs:
        first, second = episode.turns
        assert first.completion[-1] == digits_codec.eos and not len(first.logprobs) and len(second.logprobs)
        assert first.answer in (problem.key, str((int(problem.key) + 1) % 10))
        assert first.reward == Scored(float(first.answer == problem.key)), "they are verified like others"
    mine = {group.problem.id: written(group) for group in experience(digits_codec, sampler).take(10).episodes}
    for group in take.episodes:
        for episode, text in zip(group.episodes, written(group), strict=True):
            own = episode.first_attempt_by == "policy"
            assert (text == mine[group.problem.id][episode.draw]) or not own, "the policy's own are what they were"


def test_no_attempt_of_another_model_is_used_at_a_share_of_none_and_none_of_the_policys_at_one(
    digits_codec: HFCodec, sampler: InProcessSampler, fixed: Path
):
    for share, expected in ((0.0, {"policy"}), (1.0, {"base"})):
        spec = task(first_attempts=FirstAttempts(str(fixed), share=share))
        take = experience(digits_codec, sampler, spec).take(5)
        assert {e.first_attempt_by for g in take.episodes for e in g.episodes} == expected


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", r"attempts\.jsonl:1: a line must be"),
        ('{"problem": "a"}', r"attempts\.jsonl:1: a line must be"),
        ('{"problem": "a", "attempt": 3}', "must be text"),
        ("[]", "a line must be"),
    ],
)
def test_a_file_of_attempts_that_cannot_be_read_is_named(line: str, complaint: str, tmp_path: Path):
    path = tmp_path / "attempts.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=complaint):
        FirstAttempts(str(path)).read()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"turns": 0}, "turns must be at least 1"),
        ({"episodes": 0}, "episodes must be at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"turns": 1, "first_attempts": FirstAttempts("x")}, "turns is 1"),
    ],
)
def test_settings_of_the_task_out_of_range_are_refused(changes: dict[str, Any], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        task(**changes)


def test_attempts_of_others_need_an_author():
    for author in ("", "policy"):
        with pytest.raises(ValueError, match="author must name"):
            FirstAttempts("x", author=author)


def test_episodes_that_do_not_fit_the_context_are_refused_before_they_are_sampled(
    digits_codec: HFCodec, sampler: InProcessSampler
):
    one = experience(digits_codec, sampler, task(turns=3, max_new_tokens=20))
    with pytest.raises(ValueError, match="may take 66 tokens, more than the model's context of 64"):
        one.require_room(64)
    experience(digits_codec, sampler).require_room(64)
    experience(digits_codec, sampler).require_room(None)
