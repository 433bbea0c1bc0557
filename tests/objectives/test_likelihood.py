"""NTP, SFT and RF-NLL against their closed forms."""

from dataclasses import replace

import pytest
from tests.objectives.pools import CANDIDATES, PREFIX, SUFFIX, batch_of, chunk, item_of, judged, scores, value

from tutelage.collate import collate
from tutelage.metrics import Mean
from tutelage.objectives import GRPO, NTP, RFNLL, SFT, JudgeFreeDPO, Objective, OnlineDPO
from tutelage.types import Group, JudgedPool, Pool, Tokens


def test_ntp_trains_the_document_or_its_suffix():
    pool = judged(CANDIDATES, [])
    whole, suffix = (batch_of(item_of(NTP(on), pool)) for on in ("document", "suffix"))
    assert whole.target.tolist() == [*PREFIX.tolist()[1:], *SUFFIX.tolist()] and whole.trained.all()
    assert suffix.target.tolist() == SUFFIX.tolist() and suffix.trained.all()


def test_ntp_is_a_mean_over_all_tokens_of_the_step():
    batch = batch_of(
        *(item_of(NTP(), JudgedPool(Pool(chunk(n, suffix=Tokens(s)), ()))) for n, s in (("a", [4]), ("b", [5, 6])))
    )
    policy = scores(batch)
    assert value(NTP(), policy, None, batch) == pytest.approx(-float(policy.logprobs.detach().mean()))
    metrics = NTP().loss(policy, None, batch).metrics
    assert metrics["loss/nll"] == Mean(-float(policy.logprobs.detach().sum()), 7)


def test_sft_trains_its_source_alone():
    item = item_of(SFT("rewrite", ntp_weight=0.25), judged(CANDIDATES, []))
    assert isinstance(item, Group) and len(item.rows) == 1
    batch = batch_of(item)
    policy = scores(batch)
    logprobs = policy.logprobs.detach()
    assert batch.target[batch.trained].tolist() == [6, 7, 8]
    expected = -float(logprobs[2:].sum()) / 3 - 0.25 * float(logprobs[:2].sum()) / 2
    assert value(SFT("rewrite", ntp_weight=0.25), policy, None, batch) == pytest.approx(expected, rel=1e-12)


def test_sft_counts_a_pool_without_its_source():
    lesson = SFT("critic").lesson(judged(CANDIDATES, []))
    assert lesson.item is None and lesson.metrics == {"pool/taught": Mean(0, 1)}


def test_rf_nll_trains_the_best_candidate_alone():
    item = item_of(RFNLL(ntp_weight=0.5), judged(CANDIDATES, [0.1, 0.2, 0.3, 0.9]))
    batch = batch_of(item, item_of(RFNLL(ntp_weight=0.5), judged(CANDIDATES, [0.9, 0.2, 0.3, 0.1], "e")))
    assert batch.target[batch.trained].tolist() == [11, 4, 5]
    policy = scores(batch)
    logprobs = policy.logprobs.detach()
    expected = -float(logprobs[batch.trained].sum()) / 3 - 0.5 * float(logprobs[~batch.trained].sum()) / 4
    assert value(RFNLL(ntp_weight=0.5), policy, None, batch) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("objective", "needs"),
    [
        (NTP(), False),
        (SFT(), False),
        (RFNLL(), False),
        (OnlineDPO(), True),
        (JudgeFreeDPO(), True),
        (GRPO(), False),
        (GRPO(kl_weight=0.1), True),
    ],
)
def test_a_reference_is_run_only_where_the_loss_compares_with_it(objective: Objective, needs: bool):
    assert objective.needs_reference is needs and isinstance(objective, Objective)


@pytest.mark.parametrize(
    "objective",
    [SFT("suffix", ntp_weight=1.0), RFNLL(ntp_weight=1.0), GRPO(ntp_weight=1.0), OnlineDPO(ntp_weight=1.0)],
    ids=lambda objective: type(objective).__name__,
)
@pytest.mark.parametrize("scored", [[0.1, 0.2, 0.3, 0.9], [0.5] * 4], ids=["taught", "tied"])
def test_the_anchor_of_several_cuts_is_on_each_token_of_their_document_once(objective: Objective, scored: list[float]):
    text = Tokens(range(20, 30))
    cuts = [replace(chunk(prefix=text[:at]), repeated=before) for at, before in ((4, 0), (7, 4), (10, 7))]
    pools = [replace(p, pool=replace(p.pool, chunk=c)) for c in cuts for p in [judged(CANDIDATES, scored)]]
    items = [lesson.item for lesson in map(objective.lesson, pools) if lesson.item is not None]
    (batch,) = collate(items, max_tokens=1 << 20)
    assert sorted(batch.target[batch.ntp_weight > 0].tolist()) == text.tolist()[1:]


def test_ntp_trains_each_token_of_a_document_with_several_cuts_once():
    text = Tokens(range(20, 36))
    cuts = [
        replace(chunk(prefix=text[:at], suffix=text[at : at + 4]), repeated=before, covered=covered)
        for at, before, covered in ((4, 0, 0), (6, 4, 8), (12, 6, 10))
    ]
    items = [item_of(NTP(), JudgedPool(Pool(cut, ()))) for cut in cuts]
    (batch,) = collate(items, max_tokens=1 << 20)
    assert sorted(batch.target[batch.trained].tolist()) == text.tolist()[1:]
    assert NTP().lesson(JudgedPool(Pool(replace(cuts[0], covered=8), ()))).item is None
