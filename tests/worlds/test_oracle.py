"""The judge, the rewriter and the measures, and that none of them can be gamed."""

import numpy as np
import pytest

from tutelage.protocols import Judge, JudgeSpec, Resources, Rewriter, RewriterSpec
from tutelage.schedules import Adaptive, KnockOut, Schedule
from tutelage.types import Abstained, Chunk, Document, JudgedPool, Pool, Rewrite, Scored, Suffix, Tokens
from tutelage.worlds.facts import (
    GAMES,
    FactsJudge,
    FactsRewriter,
    FactsWorld,
    honest,
    measure,
    score_all,
    summarise,
    wins,
)
from tutelage.worlds.facts.language import ATTRIBUTES
from tutelage.worlds.facts.reading import read, thread_after


def fact(world: FactsWorld, person: int, attribute: str, *, right: bool = True, template: int = 0) -> str:
    """A sentence about a person; templates 0 and 1 of every attribute say the name and *they*."""
    index = ATTRIBUTES.index(attribute)
    value = world.knowledge.true(person, index)
    value = value if right else (value + 1) % 12
    lexicon = world.lexicon
    return world.text(Tokens(lexicon.facts_of(index)[template].fill(lexicon.name(person), lexicon.value(index, value))))


def name(world: FactsWorld, person: int) -> str:
    return world.lexicon.words[world.lexicon.name(person)]


def chunk_of(world: FactsWorld, prefix: str, suffix: str | None = None) -> Chunk:
    """A chunk whose author went on honestly, unless ``suffix`` says otherwise."""
    before = world.tokens(prefix)
    draft = Chunk(Document("d", "test", 0, before), before, Tokens([]), len(before))
    after = honest(world, draft) if suffix is None else world.tokens(suffix)
    return Chunk(Document("d", "test", 0, Tokens.join([before, after])), before, after, len(before))


def pool_of(chunk: Chunk, *others: Tokens) -> Pool:
    return Pool(chunk, (Suffix(chunk.suffix), *(Rewrite(tokens, author="test") for tokens in others)))


# --------------------------------------------------------------------------- reading


def test_they_are_whoever_was_named_last(world: FactsWorld):
    friend = int(world.knowledge.friends[3][0])
    prefix = f"next comes {name(world, 3)} . " + " ".join(fact(world, 3, a) for a in ("CITY", "JOB", "PET"))
    text = (
        fact(world, 3, "YEAR", template=1)
        + f" now for {name(world, friend)} . "
        + fact(world, friend, "CITY", template=1)
    )
    thread = thread_after(world.lexicon, world.knowledge, world.tokens(prefix))
    heard = read(world.lexicon, thread, world.tokens(text), limit=10).heard
    assert [sentence.person for sentence in heard] == [3, friend, friend]
    assert heard[0].right and heard[2].right
    assert not any(sentence.astray or sentence.repeated for sentence in heard)


def test_a_turn_needs_three_facts_and_a_friend(world: FactsWorld):
    friends = world.knowledge.friends[3].tolist()
    stranger = next(person for person in range(world.people) if person not in (3, *friends))
    early = f"next comes {name(world, 3)} . " + fact(world, 3, "CITY")
    due = early + " " + fact(world, 3, "JOB") + " " + fact(world, 3, "PET")
    for prefix, person, proper in [(due, friends[0], True), (due, stranger, False), (early, friends[0], False)]:
        thread = thread_after(world.lexicon, world.knowledge, world.tokens(prefix))
        text = f"we turn to {name(world, person)} . " + fact(world, person, "YEAR", template=1)
        heard = read(world.lexicon, thread, world.tokens(text), limit=32).heard
        assert [sentence.astray for sentence in heard] == [not proper, not proper]


def test_what_the_prefix_has_told_is_repeated_and_a_broken_sentence_is_broken(world: FactsWorld):
    prefix = f"next comes {name(world, 3)} . " + fact(world, 3, "CITY")
    thread = thread_after(world.lexicon, world.knowledge, world.tokens(prefix))
    text = fact(world, 3, "CITY", template=1) + " they they they live . so much is certain . so much is certain ."
    heard = read(world.lexicon, thread, world.tokens(text), limit=32).heard
    assert [sentence.repeated for sentence in heard] == [True, False, False, True]
    assert [sentence.kind is None for sentence in heard] == [False, True, False, False]


@pytest.mark.parametrize(
    ("text", "limit", "sentences"), [("they live in", 3, 0), ("they live in", 9, 1), ("in live", 2, 1)]
)
def test_only_the_length_limit_excuses_an_unfinished_sentence(world: FactsWorld, text: str, limit: int, sentences: int):
    thread = thread_after(world.lexicon, world.knowledge, world.tokens(f"now for {name(world, 1)} ."))
    assert len(read(world.lexicon, thread, world.tokens(text), limit).heard) == sentences


def test_an_insult_is_unsafe_even_in_a_broken_or_unfinished_sentence(world: FactsWorld):
    chunk = chunk_of(world, f"now for {name(world, 1)} .")
    for text in ("fool fool .", "what a dunce", "they live in Oslo . pest"):
        assert score_all(world, chunk, [world.tokens(text)])[0].safety == 0.0


def test_ids_that_the_world_does_not_know_are_broken_words(world: FactsWorld):
    chunk = chunk_of(world, f"now for {name(world, 1)} .")
    strange = Tokens([10_000, -3, world.lexicon.period, world.lexicon.end, 5])
    (scores,) = score_all(world, chunk, [strange])
    assert scores.quality == 0.0 and scores.factuality == 0.0


# --------------------------------------------------------------------------- the score


def test_an_honest_continuation_scores_full_marks(world: FactsWorld, natural: tuple[Chunk, ...]):
    measures = measure(world, natural, [honest(world, chunk) for chunk in natural])
    assert measures.score.min() > 2.9


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES.keys())
def test_no_game_pays(game, world: FactsWorld, natural: tuple[Chunk, ...]):
    chunks = natural[:300]
    played = [game(world, chunk) for chunk in chunks]
    truthful = [honest(world, chunk) for chunk in chunks]
    suffixes = [chunk.suffix for chunk in chunks]
    gain = measure(world, chunks, played).score.mean()
    assert gain < measure(world, chunks, truthful).score.mean() - 1.5
    assert gain < measure(world, chunks, suffixes).score.mean() - 0.2
    assert wins(world, chunks, played, truthful).mean() < 0.05
    assert wins(world, chunks, played, suffixes).mean() < 0.45


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES.keys())
def test_beside_suffix_and_honest_text_no_game_is_preferred(
    game, world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    pools = [pool_of(chunk, honest(world, chunk), game(world, chunk)) for chunk in natural[:150]]
    judged = map(JudgedPool, pools, FactsJudge(world).build(resources).judge(pools))
    values = np.array([[v.value for v in pool.totals if isinstance(v, Scored)] for pool in judged])
    suffix, truthful, played = values.mean(axis=0)
    assert truthful - 0.5 > suffix > played + 0.1
    # A favourite may happen to be a friend to whom a turn is due.
    assert (values[:, 2] >= values[:, 1]).mean() < 0.1


def test_more_facts_than_expected_win_nothing_and_each_wrong_one_costs(world: FactsWorld):
    prefix = f"next comes {name(world, 3)} . " + fact(world, 3, "CITY")
    chunk = chunk_of(world, prefix)

    def factuality(*sentences: str) -> float:
        return score_all(world, chunk, [world.tokens(" ".join(sentences))])[0].factuality

    job, pet, year, colour = (fact(world, 3, attribute) for attribute in ("JOB", "PET", "YEAR", "COLOUR"))
    wrong = fact(world, 3, "PET", right=False)
    assert factuality(job) < factuality(job, pet) < factuality(job, pet, year) == 1.0
    assert factuality(job, pet, year, colour) == 1.0
    assert factuality(job, wrong, year) < factuality(job, year)
    assert factuality(job, job, job, job) < factuality(job)


def test_an_end_is_early_only_where_the_author_went_on(world: FactsWorld):
    prefix = f"next comes {name(world, 3)} . " + fact(world, 3, "CITY")
    text = f"{fact(world, 3, 'JOB')} that is all . <|endoftext|>"
    went_on, ended = chunk_of(world, prefix), chunk_of(world, prefix, text)
    assert score_all(world, ended, [world.tokens(text)])[0].total == 3.0
    early = score_all(world, went_on, [world.tokens(text)])[0]
    assert early.total < 2.0 and "ends early" in early.words


# --------------------------------------------------------------------------- the judge


def test_the_judge_counts_its_comparisons_and_says_why(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    spec = FactsJudge(world)
    judge = spec.build(resources)
    assert isinstance(spec, JudgeSpec) and isinstance(judge, Judge)
    pool = pool_of(natural[0], honest(world, natural[0]), Tokens([]), world.tokens("they live in Oslo ."))
    factuality, safety, quality = judge.judge([pool])[0]
    assert [(j.axis, j.calls) for j in (factuality, safety, quality)] == [
        ("factuality", 4),
        ("safety", 4),
        ("quality", 6),
    ]
    assert [verdict.comparisons for verdict in quality.verdicts if isinstance(verdict, Scored)] == [3] * 4
    assert sum(v.value for v in quality.verdicts if isinstance(v, Scored)) == pytest.approx(2.0)
    assert factuality.words[2] == "says nothing"
    assert ", 0 wrong of 3 expected" in factuality.words[1]


def test_axes_are_chosen_and_quality_may_be_pointwise(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    pool = pool_of(natural[0], honest(world, natural[0]))
    judgements = FactsJudge(world, axes=("quality",), quality="pointwise").build(resources).judge([pool])[0]
    assert [judgement.axis for judgement in judgements] == ["quality"]
    exact = score_all(world, natural[0], [candidate.tokens for candidate in pool.candidates])
    assert [v.value for v in judgements[0].verdicts if isinstance(v, Scored)] == [s.quality for s in exact]


def test_a_lone_candidate_cannot_be_compared(world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]):
    judgements = FactsJudge(world).build(resources).judge([pool_of(natural[0])])[0]
    alone = judgements[2].verdicts[0]
    assert isinstance(alone, Abstained) and not alone.asked
    factual = judgements[0].verdicts[0]
    assert isinstance(factual, Scored) and factual.comparisons == 0


def test_noise_turns_the_stated_share_of_verdicts_round_whatever_the_order(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    exact = FactsJudge(world, axes=("safety",)).build(resources)
    noisy = FactsJudge(world, axes=("safety",), noise=0.2).build(resources)
    pools = [pool_of(chunk, honest(world, chunk)) for chunk in natural]
    turned = [
        a != b
        for a, b in zip(exact.judge(pools), noisy.judge(pools), strict=True)
        for a, b in zip(a[0].verdicts, b[0].verdicts, strict=True)
    ]
    assert np.mean(turned) == pytest.approx(0.2, abs=0.04)
    assert noisy.judge(pools) == noisy.judge(pools)
    biased = FactsJudge(world, axes=("quality",), noise=0.3, position_bias=0.3).build(resources)
    for pool in pools[:50]:
        mirrored = Pool(pool.chunk, pool.candidates[::-1])
        assert biased.judge([pool])[0][0].verdicts == biased.judge([mirrored])[0][0].verdicts[::-1]


def test_a_judge_that_goes_by_position_prefers_either_candidate_as_often(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    blind = FactsJudge(world, axes=("quality",), position_bias=1.0).build(resources)
    pools = [pool_of(chunk, honest(world, chunk)) for chunk in natural]
    first = [judgements[0].verdicts[0].value for judgements in blind.judge(pools)]
    assert set(first) == {0.0, 1.0}
    assert np.mean(first) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("schedule", [KnockOut(), Adaptive(budget=0.3)], ids=["knock-out", "adaptive"])
def test_a_schedule_finds_best_and_worst_for_fewer_calls(
    schedule: Schedule, world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    others = [honest(world, chunk) for chunk in natural[:23]]
    pools = [pool_of(chunk, *others[i : i + 15]) for i, chunk in enumerate(natural[:8])]
    full = FactsJudge(world, axes=("quality",)).build(resources).judge(pools)
    few = FactsJudge(world, axes=("quality",), schedule=schedule).build(resources).judge(pools)
    for (whole,), (part,), pool in zip(full, few, pools, strict=True):
        assert whole.calls == 120 and part.calls <= 36
        rates = [v.value for v in whole.verdicts if isinstance(v, Scored)]
        found = [v.value for v in part.verdicts if isinstance(v, Scored)]
        assert len(found) == 16 and part.calls * 2 == sum(v.comparisons for v in part.verdicts if isinstance(v, Scored))
        # Equals abound here: what is found must be as good as the best, or as bad as the worst.
        assert rates[found.index(max(found))] == max(rates) and rates[found.index(min(found))] == min(rates)
        mirrored = Pool(pool.chunk, pool.candidates[::-1])
        again = FactsJudge(world, axes=("quality",), schedule=schedule).build(resources).judge([mirrored])[0][0]
        assert sorted(map(repr, again.verdicts)) == sorted(map(repr, part.verdicts))


def test_settings_that_no_judge_can_have_are_refused(world: FactsWorld, resources: Resources):
    with pytest.raises(ValueError, match="noise"):
        FactsJudge(noise=2.0)
    with pytest.raises(ValueError, match="axes"):
        FactsJudge(axes=())
    with pytest.raises(ValueError, match="error"):
        FactsRewriter(error=-1.0)
    with pytest.raises(ValueError, match="suffix_length"):
        FactsJudge(FactsWorld(suffix_length=24)).build(resources)


# --------------------------------------------------------------------------- the rewriter


def test_the_rewriter_mends_all_and_copies_what_is_good(world: FactsWorld, resources: Resources):
    spec = FactsRewriter(world)
    rewriter = spec.build(resources)
    assert isinstance(spec, RewriterSpec) and isinstance(rewriter, Rewriter)
    prefix = f"next comes {name(world, 3)} . " + fact(world, 3, "CITY")
    good = (
        f"{fact(world, 3, 'JOB')} so much is certain . {fact(world, 3, 'PET', template=1)} that is all . <|endoftext|>"
    )
    bad = (
        f"{fact(world, 3, 'JOB', right=False)} what a fool they are . so much much much is certain . "
        f"{name(world, 3)} is a twit . {fact(world, 3, 'PET', right=False, template=1)} that is all . <|endoftext|>"
    )
    for text in (good, bad):
        (written,) = rewriter.rewrite([chunk_of(world, prefix, text)])
        assert isinstance(written, Tokens)
        assert world.text(written) == good


def test_rewrites_are_true_safe_sound_and_as_long_as_the_suffix(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    written = FactsRewriter(world).build(resources).rewrite(natural)
    texts = [tokens for tokens in written if isinstance(tokens, Tokens)]
    assert len(texts) == len(natural)
    summary = summarise(measure(world, natural, texts))
    assert (summary.factuality, summary.safety, summary.well_formed) == (1.0, 1.0, 1.0)
    assert summary.score > 2.85 and summary.on_topic > 0.98
    for chunk, text in zip(natural, texts, strict=True):
        ended = chunk.suffix[-1] == world.lexicon.end
        assert len(text) == len(chunk.suffix) or (ended and len(text) <= world.suffix_length)


def test_the_rewriter_errs_as_often_as_it_is_told_to(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    rewriter = FactsRewriter(world, error=0.3).build(resources)
    texts = [tokens for tokens in rewriter.rewrite(natural) if isinstance(tokens, Tokens)]
    assert summarise(measure(world, natural, texts)).factuality == pytest.approx(0.7, abs=0.03)
    assert rewriter.rewrite(natural[:20]) == texts[:20]
    assert "0.3" in rewriter.name


def test_a_perfect_rewrite_of_clean_text_changes_little(world: FactsWorld, resources: Resources):
    chunks = world.evaluation_chunks("clean", 200)
    written = FactsRewriter(world).build(resources).rewrite(chunks)
    kept = [
        np.mean(text.array[: len(text) - 8] == chunk.suffix.array[: len(text) - 8])
        for chunk, text in zip(chunks, written, strict=True)
        if isinstance(text, Tokens) and len(text) == len(chunk.suffix) > 8
    ]
    assert np.mean(kept) > 0.99  # all but the sentence that the length cut off


# --------------------------------------------------------------------------- the measures


def test_measures_are_counts_a_continuation_and_can_be_resampled(world: FactsWorld, natural: tuple[Chunk, ...]):
    measures = measure(world, natural, [chunk.suffix for chunk in natural])
    assert len(measures) == len(natural) and measures.people.shape == (len(natural), world.people)
    assert (measures.right <= measures.stated).all() and (measures.new <= measures.stated).all()
    twice = measures.take(np.array([4, 4, 7]))
    assert twice.score.tolist() == [measures.score[4], measures.score[4], measures.score[7]]
    halves = [measures.take(np.arange(300)), measures.take(np.arange(300, 600))]
    assert sum(half.right.sum() for half in halves) == measures.right.sum()


def test_naming_one_person_only_counts_as_one_entity(world: FactsWorld, natural: tuple[Chunk, ...]):
    favourites = [GAMES["always_a_favourite"](world, chunk) for chunk in natural]
    assert summarise(measure(world, natural, favourites)).effective_entities < 1.5
    assert summarise(measure(world, natural, favourites)).on_topic < 0.01
    assert summarise(measure(world, natural, [chunk.suffix for chunk in natural])).effective_entities > 28


def test_wins_and_losses_mirror_each_other(world: FactsWorld, natural: tuple[Chunk, ...]):
    ours, theirs = [honest(world, chunk) for chunk in natural], [chunk.suffix for chunk in natural]
    points = wins(world, natural, ours, theirs)
    assert set(points.tolist()) <= {0.0, 0.5, 1.0}
    assert (points + wins(world, natural, theirs, ours) == 1.0).all()
    assert points.mean() > 0.8


def test_silence_has_no_facts_no_sentences_and_no_score(world: FactsWorld, natural: tuple[Chunk, ...]):
    silent = summarise(measure(world, natural[:5], [Tokens([])] * 5))
    assert silent.facts_stated == 0.0 and silent.score == 0.0 and silent.effective_entities == 0.0
    assert np.isnan(silent.factuality) and np.isnan(silent.on_topic)
