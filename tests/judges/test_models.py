"""Judges that are models without words: likelihood and classification."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.judges.conftest import pickled
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tutelage.codec import HFCodec, train_tokenizer
from tutelage.judges import ClassifierJudge, LikelihoodJudge
from tutelage.protocols import Judge, JudgeSpec, Resources
from tutelage.types import Abstained, Chunk, Document, Pool, Rewrite, Scored, Tokens

Make = Callable[..., Pool]
TEXTS = (" stood by the river.", " lay.", " was used by nobody for years, and the grass")


def values(judge: Judge, pools: list[Pool]) -> list[list[float]]:
    found = [[v.value for v in j[0].verdicts if isinstance(v, Scored)] for j in judge.judge(pools)]
    assert all(len(mine) == len(p.candidates) for mine, p in zip(found, pools, strict=True))
    return found


def mean_logprob(folder: Path, prefix: Tokens, target: Tokens) -> float:
    """Straight from the definition, one sequence at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([prefix.tolist() + target.tolist()])
    with torch.no_grad():
        logp = model(ids).logits[0].log_softmax(-1)
    at = range(len(prefix) - 1, ids.shape[1] - 1)
    return sum(float(logp[i, ids[0, i + 1]]) for i in at) / len(target)


def test_likelihood_is_the_mean_log_probability_of_the_candidate(
    lm_folder: Path, resources: Resources, pool: Make
) -> None:
    spec = LikelihoodJudge(str(lm_folder), device="cpu")
    assert isinstance(spec, JudgeSpec)
    pools = [pool(*TEXTS), pool(*TEXTS[:2], prefix="Nobody had used the boat for a long time; it", id="e")]
    found = values(spec.build(resources), pools)
    for mine, scores in zip(pools, found, strict=True):
        for candidate, score in zip(mine.candidates, scores, strict=True):
            wanted = mean_logprob(lm_folder, mine.chunk.prefix, candidate.tokens)
            assert score == pytest.approx(wanted, abs=1e-4)


def test_likelihood_does_not_depend_on_batching(lm_folder: Path, resources: Resources, pool: Make) -> None:
    pools = [pool(*TEXTS[: 1 + i % 3], prefix="The old house " * (1 + i), id=str(i)) for i in range(4)]
    together = values(LikelihoodJudge(str(lm_folder), device="cpu").build(resources), pools)
    apart = values(LikelihoodJudge(str(lm_folder), device="cpu", batch_tokens=1).build(resources), pools)
    for one, other in zip(together, apart, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_pools_whose_prefixes_begin_alike_keep_their_own_scores(
    lm_folder: Path, resources: Resources, pool: Make
) -> None:
    starts = ["The old house stood by the river for years, and nobody " * 2, "Once the grass was cut it lay there " * 3]
    pools = [pool(*TEXTS[: 1 + i % 3], prefix=f"{starts[i % 2]} {i}", id=str(i)) for i in range(5)]
    judge = LikelihoodJudge(str(lm_folder), device="cpu").build(resources)
    alone = [values(judge, [mine])[0] for mine in pools]
    for one, other in zip(values(judge, pools), alone, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    firsts = sorted(scores[0] for scores in alone)
    assert min(b - a for a, b in pairwise(firsts)) > 1e-3


def test_mixed_precision_computes_likelihood_in_bfloat16(lm_folder: Path, resources: Resources, pool: Make) -> None:
    full, mixed = (
        values(LikelihoodJudge(str(lm_folder), precision=precision, device="cpu").build(resources), [pool(*TEXTS)])[0]
        for precision in ("float32", "mixed")
    )
    assert mixed != full and mixed == pytest.approx(full, abs=0.1)


def test_a_prefix_beyond_the_context_loses_its_beginning(lm_folder: Path, resources: Resources, codec: HFCodec) -> None:
    prefix = codec.encode("x" * 700)
    target = codec.encode(" stood by the river")
    chunk = Chunk(Document("d", "c", 0, prefix), prefix, target, len(prefix))
    endless = codec.encode("y" * 650)
    pool = Pool(chunk, (Rewrite(target, "w"), Rewrite(endless, "w"), Rewrite(Tokens([]), "w")))
    verdicts = LikelihoodJudge(str(lm_folder), device="cpu").build(resources).judge([pool])[0][0].verdicts
    assert isinstance(verdicts[0], Scored)
    shown = prefix[len(prefix) - (640 - len(target)) :]
    assert verdicts[0].value == pytest.approx(mean_logprob(lm_folder, shown, target), abs=1e-4)
    assert verdicts[1:] == (
        Abstained("candidate of 650 tokens exceeds the context of 640"),
        Abstained("no token to score"),
    )


def test_another_tokenizer_reads_the_text_anew(
    lm_folder: Path, resources: Resources, pool: Make, tmp_path: Path
) -> None:
    train_tokenizer(["quite another text, with the river"] * 3, 270, tmp_path)
    other = HFCodec(AutoTokenizer.from_pretrained(tmp_path))
    spec = LikelihoodJudge(str(lm_folder), tokenizer=str(tmp_path), device="cpu")
    found = values(spec.build(resources), [pool(*TEXTS)])[0]
    for text, score in zip(TEXTS, found, strict=True):
        wanted = mean_logprob(lm_folder, other.encode("The old house"), other.encode(text))
        assert score == pytest.approx(wanted, abs=1e-4)


def test_end_of_text_is_scored_in_the_reference_s_own_id(
    lm_folder: Path, resources: Resources, pool: Make, tmp_path: Path
) -> None:
    train_tokenizer(["quite another text, with the river"] * 3, 270, tmp_path)
    mine = pool(TEXTS[0])
    ended = Rewrite(Tokens.join([mine.candidates[0].tokens, Tokens([resources.codec.eos])]), "w")
    judge = LikelihoodJudge(str(lm_folder), tokenizer=str(tmp_path), device="cpu").build(resources)
    open_, closed = values(judge, [replace(mine, candidates=(*mine.candidates, ended))])[0]
    assert open_ != closed


def test_a_likelihood_judge_without_model_or_tokenizer_says_so(tmp_path: Path, resources: Resources) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        LikelihoodJudge(str(tmp_path / "nowhere")).build(resources)


@pytest.mark.parametrize("sees", ["candidate", "prefix and candidate"])
def test_a_classifier_s_score_is_the_probability_of_its_label(
    classifier_folder: Path, resources: Resources, pool: Make, sees: str
) -> None:
    spec = ClassifierJudge(str(classifier_folder), "clean", "safety", sees, max_batch=2, device="cpu")  # type: ignore[arg-type]
    assert isinstance(spec, JudgeSpec)
    found = values(spec.build(resources), [pool(*TEXTS), pool(*TEXTS[:1], id="e")])
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    for text, score in zip(TEXTS, found[0], strict=True):
        whole = text if sees == "candidate" else "The old house" + text
        with torch.no_grad():
            logits = model(tokenizer(whole, return_tensors="pt")["input_ids"]).logits[0]
        assert score == pytest.approx(float(logits.softmax(-1)[1]), abs=1e-5)
    assert found[1] == pytest.approx(found[0][:1], abs=1e-5)
    assert len({round(score, 3) for score in found[0]}) == 3


def test_an_unknown_label_is_refused_with_the_known_ones(classifier_folder: Path, resources: Resources) -> None:
    with pytest.raises(ValueError, match=r"no label 'safe'; it has 'toxic', 'clean', 'odd'"):
        ClassifierJudge(str(classifier_folder), "safe", "safety").build(resources)


def test_a_candidate_without_text_is_abstained_on_and_a_long_one_is_read_from_its_end(
    classifier_folder: Path, resources: Resources, pool: Make
) -> None:
    judge = ClassifierJudge(str(classifier_folder), "clean", "safety", device="cpu").build(resources)
    verdicts = judge.judge([pool(" a", " ", "z" * 900)])[0][0].verdicts
    assert verdicts[1] == Abstained("the candidate has no text")
    assert isinstance(verdicts[0], Scored)
    assert isinstance(verdicts[2], Scored)


def test_a_classifier_with_pickled_weights_only_is_refused(
    classifier_folder: Path, resources: Resources, tmp_path: Path
) -> None:
    pickled(classifier_folder, tmp_path / "model")
    with pytest.raises(ValueError, match=r"no safetensors.*AutoModelForSequenceClassification\.from_pretrained"):
        ClassifierJudge(str(tmp_path / "model"), "clean", "safety").build(resources)


def test_a_classifier_that_is_not_there_is_named(tmp_path: Path, resources: Resources) -> None:
    with pytest.raises(ValueError, match="nowhere: there is no such folder"):
        ClassifierJudge(str(tmp_path / "nowhere"), "clean", "safety").build(resources)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no sequence classifier could be loaded"):
        ClassifierJudge(str(tmp_path / "empty"), "clean", "safety").build(resources)


def test_a_likelihood_judge_that_is_not_there_is_named_as_itself(
    tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/mine/jugde/hf", "runs/jugde"):
        with pytest.raises(ValueError, match=rf"LikelihoodJudge\.path '{name}': there is no such folder"):
            LikelihoodJudge(name).build(resources)
