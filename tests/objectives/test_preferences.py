"""Who is chosen, and the losses of DPO against their closed forms."""

from math import exp, log

import pytest
import torch
from tests.objectives.pools import CANDIDATES, PREFIX, batch_of, item_of, judged, rollout, scores, value

from tutelage.metrics import Mean
from tutelage.objectives import RFNLL, SFT, JudgeFreeDPO, Objective, OnlineDPO
from tutelage.types import Group, JudgedPool, Judgement, Pair, Rewrite, Scored, Suffix, Tokens


def ends(item: object) -> list[list[int]]:
    rows = (item.chosen, item.rejected) if isinstance(item, Pair) else item.rows if isinstance(item, Group) else ()
    return [row.segments[-1].tokens.tolist() for row in rows]


def test_the_best_is_chosen_against_the_worst():
    lesson = OnlineDPO().lesson(judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5]))
    assert ends(lesson.item) == [[6, 7, 8], [9, 10]]
    assert lesson.metrics["pool/taught"] == Mean(1, 1) and lesson.metrics["pool/tie"] == Mean(0, 1)
    assert {k: m for k, m in lesson.metrics.items() if k.startswith(("chosen", "rejected"))} == {
        "chosen/suffix": Mean(0, 1),
        "chosen/rewrite": Mean(1, 1),
        "chosen/rollout": Mean(0, 1),
        "rejected/suffix": Mean(0, 1),
        "rejected/rewrite": Mean(0, 1),
        "rejected/rollout": Mean(1, 1),
    }


def test_who_wins_does_not_depend_on_the_order_of_sources():
    one, two = Rewrite(Tokens([6]), "w"), Rewrite(Tokens([7]), "w")
    wins = {
        name: ends(OnlineDPO().lesson(judged([one, two, rollout(8)], [1, 1, 0], name)).item)[0]
        for name in map(str, range(60))
    }
    assert 15 < list(wins.values()).count([6]) < 45
    assert wins["7"] == ends(OnlineDPO().lesson(judged([one, two, rollout(8)], [1, 1, 0], "7")).item)[0]


@pytest.mark.parametrize("objective", [OnlineDPO(), RFNLL()])
def test_ties_are_skipped_and_counted(objective: Objective):
    lesson = objective.lesson(judged(CANDIDATES, [0.5] * 4))
    assert lesson.item is None and lesson.metrics["pool/tie"] == Mean(1, 1)
    assert lesson.metrics["pool/taught"] == Mean(0, 1) and not any(k.startswith("chosen") for k in lesson.metrics)


def test_an_abstained_candidate_is_never_chosen_nor_rejected():
    lesson = OnlineDPO().lesson(judged(CANDIDATES, ["refused", 0.9, "timed out", 0.5]))
    assert ends(lesson.item) == [[6, 7, 8], [11]]
    assert lesson.metrics["pool/abstained"] == Mean(2, 4)
    alone = OnlineDPO().lesson(judged(CANDIDATES, ["a", "b", "c", 1.0]))
    assert (
        alone.item is None and alone.metrics["pool/too_few"] == Mean(1, 1) and alone.metrics["pool/tie"] == Mean(0, 1)
    )


def test_a_candidate_that_was_compared_too_rarely_takes_no_part():
    pool = judged(CANDIDATES, [Scored(0.9, 1), Scored(0.8, 3), Scored(0.1, 2), Scored(0.3, 3)])
    assert ends(OnlineDPO(min_comparisons=3).lesson(pool).item) == [[6, 7, 8], [11]]
    assert ends(RFNLL(min_comparisons=2).lesson(pool).item) == [[6, 7, 8]]
    assert ends(OnlineDPO().lesson(pool).item) == [[4, 5], [9, 10]]
    by_itself = JudgedPool(pool.pool, (*pool.judgements, Judgement("safety", (Scored(1.0),) * 4)))
    assert ends(OnlineDPO(min_comparisons=3).lesson(by_itself).item) == [[6, 7, 8], [11]]
    assert OnlineDPO(min_comparisons=3).lesson(judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5])).item is not None


def test_a_gap_that_is_too_small_teaches_nothing():
    pool = judged(CANDIDATES, [0.5, 0.6, 0.5, 0.5])
    assert OnlineDPO(min_gap=0.2).lesson(pool).item is None and OnlineDPO(min_gap=0.1).lesson(pool).item is not None


def test_an_empty_candidate_takes_no_part():
    pool = judged([Suffix(Tokens([])), *CANDIDATES[1:]], [1.0, 0.5, 0.2, 0.3])
    assert ends(OnlineDPO().lesson(pool).item) == [[6, 7, 8], [9, 10]]


def test_no_judge_is_no_preference():
    assert OnlineDPO().lesson(judged(CANDIDATES, [])).item is None


NO_PAIR = judged(CANDIDATES, [0.5] * 4)


@pytest.mark.parametrize("objective", [OnlineDPO(ntp_weight=0.5), RFNLL(ntp_weight=0.5), SFT("nobody", ntp_weight=0.5)])
def test_a_pool_without_a_pair_still_trains_its_anchor(objective: Objective):
    item = item_of(objective, NO_PAIR)
    batch = batch_of(item)
    policy = scores(batch)
    loss = value(objective, policy, policy, batch)
    assert batch.target.tolist() == PREFIX.tolist()[1:] and not batch.trained.any()
    assert loss == pytest.approx(-0.5 * float(policy.logprobs.detach().sum()) / 2)


def dpo_by_hand(batch, policy, reference, beta):  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
    total = 0.0
    for chosen, rejected in batch.pairs.tolist():
        gain = [
            float((policy.logprobs - reference.logprobs)[batch.trained & (batch.row == row)].detach().sum())
            for row in (chosen, rejected)
        ]
        total += log(1 + exp(-beta * (gain[0] - gain[1])))
    return total / len(batch.pairs)


def test_online_dpo_is_its_formula():
    objective = OnlineDPO(beta=0.3, nll_weight=0.2, ntp_weight=0.5)
    items = [
        item_of(objective, judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5])),
        item_of(objective, NO_PAIR),
        item_of(objective, judged(CANDIDATES, [0.1, 0.2, 0.3, 0.9], "e")),
    ]
    batch = batch_of(*items)
    policy, reference = scores(batch, 1), scores(batch, 2)
    logprobs = policy.logprobs.detach()
    chosen = batch.trained & torch.isin(batch.row, batch.pairs[:, 0])
    nll = -float(logprobs[chosen].sum()) / (3 + 1)  # the chosen rewrite has three tokens, the chosen rollout one
    anchored = batch.ntp_weight > 0
    ntp = -0.5 * float(logprobs[anchored].sum()) / 6
    assert int(anchored.sum()) == 6 and len(batch.pairs) == 2
    expected = dpo_by_hand(batch, policy, reference, 0.3) + 0.2 * nll + ntp
    assert value(objective, policy, reference, batch) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [OnlineDPO, JudgeFreeDPO])
def test_a_smoothed_preference_is_wrong_by_its_share(kind: type[OnlineDPO] | type[JudgeFreeDPO]):
    batch = batch_of(item_of(kind(), judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5])))
    policy, reference = scores(batch, 1), scores(batch, 2)
    right = dpo_by_hand(batch, policy, reference, 0.3)
    wrong = dpo_by_hand(batch, policy, reference, -0.3)
    smoothed = value(kind(beta=0.3, label_smoothing=0.2), policy, reference, batch)
    assert smoothed == pytest.approx(0.8 * right + 0.2 * wrong, rel=1e-12)


def test_the_anchor_of_a_shared_prefix_is_counted_once():
    objective = OnlineDPO(ntp_weight=1.0)
    batch = batch_of(item_of(objective, judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5])))
    assert objective.counts(batch)["ntp"] == len(PREFIX) - 1
    assert batch.target[batch.ntp_weight > 0].tolist() == PREFIX.tolist()[1:]


def test_metrics_of_dpo_are_means_over_pairs():
    objective = OnlineDPO(beta=0.5)
    batch = batch_of(item_of(objective, judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5])))
    policy, reference = scores(batch, 1), scores(batch, 2)
    metrics = objective.loss(policy, reference, batch).metrics
    gain = (policy.logprobs - reference.logprobs).detach()
    chosen, rejected = (float(gain[batch.row == row].sum()) for row in (0, 1))
    assert metrics["dpo/chosen_shift"].total == pytest.approx(chosen)
    assert metrics["dpo/rejected_shift"].total == pytest.approx(rejected)
    assert metrics["dpo/margin"].total == pytest.approx(0.5 * (chosen - rejected))
    assert metrics["dpo/accuracy"] == Mean(float(chosen > rejected), 1)
    assert metrics["loss/dpo"].total == pytest.approx(dpo_by_hand(batch, policy, reference, 0.5))
    assert metrics["policy/entropy"].total == pytest.approx(float(policy.entropy.sum()))


def test_the_gradient_of_dpo_reaches_the_policy_alone():
    objective = OnlineDPO()
    batch = batch_of(item_of(objective, judged(CANDIDATES, [0.4, 0.9, 0.1, 0.5])))
    policy, reference = scores(batch, 1), scores(batch, 2)
    objective.loss(policy, reference, batch).totals["dpo"].backward()
    gradient = policy.logprobs.grad
    assert gradient is not None and reference.logprobs.grad is None
    assert (gradient[batch.row == 0] < 0).all() and (gradient[batch.row == 1] > 0).all()


def test_judge_free_dpo_prefers_by_source():
    pool = judged(CANDIDATES, [])
    assert ends(JudgeFreeDPO().lesson(pool).item) == [[6, 7, 8], [9, 10]]
    assert ends(JudgeFreeDPO("suffix", "rewrite").lesson(pool).item) == [[4, 5], [6, 7, 8]]
    missing = JudgeFreeDPO("rewrite", "critic").lesson(pool)
    assert missing.item is None and missing.metrics["pool/taught"] == Mean(0, 1)
    same = judged([Rewrite(Tokens([9]), "w"), rollout(9)], [])
    assert JudgeFreeDPO().lesson(same).item is None
    assert ends(JudgeFreeDPO(ntp_weight=0.5).lesson(same).item) == [PREFIX.tolist()]


def test_judge_free_dpo_has_the_loss_of_online_dpo():
    batch = batch_of(item_of(JudgeFreeDPO(beta=0.3, ntp_weight=0.5), judged(CANDIDATES, [])))
    policy, reference = scores(batch, 1), scores(batch, 2)
    ours = value(JudgeFreeDPO(beta=0.3, ntp_weight=0.5), policy, reference, batch)
    assert ours == value(OnlineDPO(beta=0.3, ntp_weight=0.5), policy, reference, batch) > 0
