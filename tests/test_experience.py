"""Where judged pools come from, and what is counted on the way."""

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.families import build
from tests.objectives.pools import CANDIDATES, chunk, judged
from tests.tiny import WORLD, LengthJudge

from tutelage.checking import PartFailed
from tutelage.codec import HFCodec
from tutelage.experience import Experience, SuffixExperience, Take, TooStale, deal
from tutelage.metrics import Mean, Peak, Sum, reduce
from tutelage.pool_metrics import first_abstention, judgement_metrics, source_metrics, staleness
from tutelage.ranks import OneRank
from tutelage.sources import SuffixSource
from tutelage.types import (
    NOT_ASKED,
    Absent,
    Abstained,
    Candidate,
    Chunk,
    JudgedPool,
    Judgement,
    Pool,
    Rewrite,
    Scored,
    Tokens,
)
from tutelage.worlds.facts import FactsStream


@dataclass(frozen=True)
class OddRewriter:
    """Fails on every other document."""

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        return [
            (Absent("rewrite", "no idea"),) if chunk.document.id.endswith(("1", "3")) else (Rewrite(Tokens([9]), "w"),)
            for chunk in chunks
        ]


@dataclass(frozen=True)
class Renamed:
    """Says the same on an axis of its own."""

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [tuple(replace(j, axis="again") for j in judgements) for judgements in LengthJudge().judge(pools)]


def experience(
    codec: HFCodec, rank: int = 0, size: int = 1, share: float = 1.0, part: "Telling | None" = None
) -> SuffixExperience:
    stream = FactsStream(WORLD).build(0, codec, "policy")
    return SuffixExperience(
        stream,
        [("part", part)] if part else [("suffix", SuffixSource()), ("odd", OddRewriter())],
        [("part", part)] if part else [("one", LengthJudge()), ("two", Renamed())],
        cursor=stream.start(),
        seed=0,
        taught_share=share,
        suffix_length=64,
        vocab_size=10_000,
        rank=rank,
        size=size,
    )


def test_pools_hold_what_sources_wrote_and_judges_said(tiny_codec: HFCodec):
    one = experience(tiny_codec)
    assert isinstance(one, Experience)
    take = one.take(4)
    assert [j.pool.chunk.document.id for j in take.judged] == [f"policy-0-{i}" for i in range(4)]
    assert [[c.source for c in j.pool.candidates] for j in take.judged] == [["suffix", "rewrite"], ["suffix"]] * 2
    assert [len(j.pool.absent) for j in take.judged] == [0, 1, 0, 1]
    assert all([j.axis for j in judged.judgements] == ["variety", "again"] for judged in take.judged)
    assert take.metrics["absent/rewrite"] == Sum(2) and take.metrics["length/rewrite"] == Mean(2, 2)
    assert {"seconds/stream", "seconds/suffix", "seconds/odd", "seconds/judge.one"} <= take.metrics.keys()
    assert one.take(1).judged[0].pool.chunk.document.id == "policy-0-4"


@pytest.mark.parametrize("size", [2, 3, 5])
def test_ranks_share_the_documents_of_one(size: int, tiny_codec: HFCodec):
    whole = experience(tiny_codec, share=0.6).take(7)
    parts = [experience(tiny_codec, rank, size, share=0.6).take(7) for rank in range(size)]
    assert {j for part in parts for j in part.judged} == set(whole.judged)
    assert {c for part in parts for c in part.plain} == set(whole.plain)
    assert sum(len(part.judged) + len(part.plain) for part in parts) == 7
    assert {part.cursor for part in parts} == {whole.cursor}


@given(st.lists(st.sampled_from("abcdef"), max_size=12), st.integers(1, 4))
def test_all_chunks_of_a_document_go_to_one_rank(names: list[str], size: int):
    chunks = [replace(chunk(name), cut=i) for i, name in enumerate(sorted(names))]
    dealt = [deal(chunks, rank, size) for rank in range(size)]
    assert sorted(c.cut for part in dealt for c in part) == list(range(len(names)))
    owners: dict[str, set[int]] = {}
    for rank, part in enumerate(dealt):
        for c in part:
            owners.setdefault(c.document.id, set()).add(rank)
    assert all(len(ranks) == 1 for ranks in owners.values())
    counts = [len({c.document.id for c in part}) for part in dealt]
    assert max(counts) - min(counts) <= 1


def test_the_version_is_that_of_the_policy_that_writes(tiny_codec: HFCodec):
    one = experience(tiny_codec)
    assert one.take(1).version == 0
    one.publish(build("gpt2"), 7)
    assert one.take(1).version == 7


def names(take: Take) -> list[str]:
    return [j.pool.chunk.document.id for j in take.judged]


def test_what_was_proposed_ahead_is_taken_first_and_nothing_is_read_twice(tiny_codec: HFCodec):
    one, alone = experience(tiny_codec), experience(tiny_codec)
    with closing(one):
        one.propose(2)
        one.propose(2)
        assert one.cursor.taken == 4
        takes = [one.take(2, max_staleness=0) for _ in range(4)]
    assert takes == [alone.take(2) for _ in range(4)]
    assert [names(take) for take in takes] == [[f"policy-0-{i + k}" for i in range(2)] for k in (0, 2, 4, 6)]
    assert [take.cursor.taken for take in takes] == [2, 4, 6, 8]
    waited = ["seconds/wait_for_judges" in take.metrics for take in takes]
    assert waited == [True, True, False, False] and all("seconds/judge.one" in take.metrics for take in takes)


def test_a_take_that_is_too_old_is_refused(tiny_codec: HFCodec):
    with closing(experience(tiny_codec)) as one:
        for _ in range(3):
            one.propose(1)
        one.publish(build("gpt2"), 1)
        assert one.take(1, max_staleness=1).version == 0
        with pytest.raises(TooStale, match=r"written by version 0 .* at version 1 now; at most 0 updates"):
            one.take(1, max_staleness=0)
        one.publish(build("gpt2"), 2)
        with pytest.raises(TooStale, match=r"version 2 now; at most 1 updates may lie between \(queue_depth\)"):
            one.take(1, max_staleness=1)


def test_another_number_than_was_proposed_is_refused(tiny_codec: HFCodec):
    with closing(experience(tiny_codec)) as one:
        one.propose(2)
        with pytest.raises(ValueError, match="2 documents were proposed ahead; 3 cannot be taken"):
            one.take(3)


@dataclass(frozen=True)
class Telling:
    """A source and a judge that tell what they do; the judge ends no sooner than the next sampling has begun."""

    told: list[str] = field(default_factory=list[str])
    sampled_again: threading.Event = field(default_factory=threading.Event)

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        self.told.append(f"sampling {chunks[0].document.id}")
        if len(self.told) > 1:
            self.sampled_again.set()
        return [(Rewrite(Tokens([9]), "w"),) for _ in chunks]

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        assert self.sampled_again.wait(timeout=60), "nothing was sampled while the judge was at work"
        self.told.append(f"judged {pools[0].chunk.document.id}")
        return LengthJudge().judge(pools)


def test_the_next_documents_are_sampled_before_the_judge_is_done_with_these(tiny_codec: HFCodec):
    telling = Telling()
    with closing(experience(tiny_codec, part=telling)) as one:
        one.propose(1)
        one.propose(1)
        assert [names(one.take(1, max_staleness=0)) for _ in range(2)] == [["policy-0-0"], ["policy-0-1"]]
    assert telling.told == ["sampling policy-0-0", "sampling policy-0-1", "judged policy-0-0", "judged policy-0-1"]


def judging_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("judges")]


def test_what_a_judge_raises_in_the_background_is_raised_by_take(tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch):
    with closing(experience(tiny_codec)) as one:
        one.propose(1)
        first = one.take(1)
        monkeypatch.setattr(Renamed, "judge", lambda self, pools: [])
        one.propose(1)
        with pytest.raises(PartFailed, match="Renamed gave 0 answers for 1 pools"):
            one.take(1)
    assert len(first.judged) == 1 and judging_threads() == []


def test_an_experience_that_is_closed_leaves_no_thread_and_judges_no_more(
    tiny_codec: HFCodec, monkeypatch: pytest.MonkeyPatch
):
    began, asked = threading.Event(), list[int]()

    def slow(self: Renamed, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        asked.append(len(pools))
        began.set()
        time.sleep(0.05)
        return [(Judgement("again", tuple(Scored(1.0) for _ in pool.candidates)),) for pool in pools]

    monkeypatch.setattr(Renamed, "judge", slow)
    one = experience(tiny_codec)
    one.propose(1)
    one.propose(2)
    assert began.wait(timeout=60) and judging_threads() != []
    one.close()
    assert judging_threads() == [] and asked == [1]
    one.close()
    assert judging_threads() == []


def test_rollouts_are_measured_by_length_ending_and_surprise():
    found = reduce(source_metrics([Pool(chunk(), CANDIDATES)]), OneRank())
    assert found["length/rollout"] == 1.5 and found["rollout/stopped"] == 0 and found["tokens/sampled"] == 3
    assert found["policy/surprise"] == pytest.approx((0.5 + 0.6 + 0.5) / 3, rel=1e-6)


def test_abstentions_and_refusals_are_told_apart_from_scores():
    pool = judged(CANDIDATES, [0.4, "Refused to answer", "timed out", 0.8])
    metrics = judgement_metrics([pool])
    assert metrics["abstained/quality"] == Mean(2, 4) and metrics["refused/quality"] == Sum(1)
    assert metrics["abstained/quality/rewrite"] == Mean(1, 1) and metrics["abstained/quality/rollout"] == Mean(1, 2)
    assert metrics["score/quality/suffix"] == Mean(0.4, 1) and metrics["score/quality/rollout"] == Mean(0.8, 1)
    assert metrics["score_peak/quality"] == Peak(0.8) and "score/quality/rewrite" not in metrics
    assert first_abstention([judged(CANDIDATES, [1.0] * 4)], "quality") is None


def test_the_reason_that_is_quoted_is_that_of_the_axis():
    lone = JudgedPool(Pool(chunk(), CANDIDATES[:1]), (Judgement("quality", (Abstained(f"{NOT_ASKED}: nobody"),)),))
    pool = judged(CANDIDATES, ["hm", "Refused to answer", 0.1, 0.2])
    both = replace(pool, judgements=(Judgement("safety", (Abstained("time-out"),) * 4), *pool.judgements))
    assert first_abstention([lone, both], "quality") == "hm" and first_abstention([both], "safety") == "time-out"


def test_a_lone_candidate_is_not_an_abstention():
    lone = JudgedPool(Pool(chunk(), CANDIDATES[:1]), (Judgement("quality", (Abstained(f"{NOT_ASKED}: nobody"),)),))
    assert judgement_metrics([lone]) == {"calls/quality": Sum(0)}
    more = judgement_metrics([lone, judged(CANDIDATES, [0.4, 0.1, 0.2, "time-out"])])
    assert more["abstained/quality"] == Mean(1, 4) and more["abstained/quality/suffix"] == Mean(0, 1)


def test_abstentions_on_unsafe_text_are_counted_apart():
    pool = judged(CANDIDATES, [0.4, "refused: 'no'", "time-out", 0.8])
    safety = Judgement("safety", (Scored(1.0), Scored(0.2), Abstained("time-out"), Scored(0.4)))
    metrics = judgement_metrics([replace(pool, judgements=(*pool.judgements, safety))])
    assert metrics["abstained/quality/safe"] == Mean(0, 1) and metrics["abstained/quality/unsafe"] == Mean(1, 2)
    assert "abstained/quality/unsafe" not in judgement_metrics([pool]) and "abstained/safety/safe" not in metrics


def test_first_tokens_are_compared_with_the_suffix():
    rewrite = Rewrite(Tokens([*chunk().suffix.tolist()[:1], 9]), "w")
    metrics = source_metrics([Pool(chunk(), (*CANDIDATES, rewrite))])
    assert metrics["first_token/rewrite"] == Mean(1, 2) and metrics["first_token/rollout"] == Mean(0, 2)
    assert "first_token/suffix" not in metrics


def test_a_negative_staleness_is_refused(tiny_codec: HFCodec):
    with pytest.raises(ValueError, match="max_staleness is -1"):
        experience(tiny_codec).take(1, max_staleness=-1)


def test_calls_of_judges_add_up():
    one = JudgedPool(Pool(chunk(), CANDIDATES[:1]), (Judgement("a", (Scored(1),), calls=3),))
    two = JudgedPool(Pool(chunk(), CANDIDATES[:1]), (Judgement("a", (Abstained("x"),), calls=2),))
    assert judgement_metrics([one, two])["calls/a"] == Sum(5)


def test_staleness_counts_updates_since_each_rollout_was_written():
    old, new = (replace(c, policy_version=v) for c, v in zip(CANDIDATES[-2:], (3, 5), strict=True))
    assert staleness([judged((CANDIDATES[0], old, new), [0.1, 0.2, 0.3])], 5) == {"rollout/staleness": Mean(2.0, 2)}
    assert staleness([judged(CANDIDATES[:1], [0.1])], 5) == {}
