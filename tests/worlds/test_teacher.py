"""The teacher that goes on by itself."""

from dataclasses import replace

import numpy as np
import pytest

from tutelage.protocols import Resources, Rewriter, RewriterSpec
from tutelage.sources import RewriteSource
from tutelage.types import Chunk, Rewrite, Tokens
from tutelage.worlds.facts import FactsSummary, FactsTeacher, FactsWorld, measure, summarise


def written(spec: FactsTeacher, resources: Resources, chunks: tuple[Chunk, ...]) -> list[Tokens]:
    texts = spec.build(resources).rewrite(chunks)
    assert len(texts) == len(chunks)
    return [text for text in texts if isinstance(text, Tokens)]


def figures(world: FactsWorld, chunks: tuple[Chunk, ...], texts: list[Tokens]) -> FactsSummary:
    return summarise(measure(world, chunks, texts))


def test_it_stands_where_a_rewriter_does(world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]):
    spec = FactsTeacher(world, error=0.3)
    assert isinstance(spec, RewriterSpec) and isinstance(spec.build(resources), Rewriter)
    (proposal,) = RewriteSource(spec).build(resources).propose(natural[:1])
    assert isinstance(proposal[0], Rewrite)
    assert proposal[0].author == "facts-teacher(error=0.3)"


def test_not_a_word_of_the_suffix_is_read(world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]):
    spec, end = FactsTeacher(world, error=0.3), world.lexicon.end
    others = [natural[(i + 1) % 200] for i in range(200)]
    blank = [Tokens([world.lexicon.period] * len(chunk.suffix)) for chunk in natural[:200]]
    kept = [
        replace(chunk, suffix=Tokens([*other[:-1].tolist(), end]) if chunk.suffix[-1] == end else other)
        for chunk, other in zip(natural, blank, strict=False)
    ]
    assert written(spec, resources, natural[:200]) == written(spec, resources, tuple(kept))
    assert written(spec, resources, natural[:200]) != written(spec, resources, tuple(others))


def test_it_is_as_long_as_the_suffix_and_ends_where_that_ends(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    lengths: list[int] = []
    for chunk, text in zip(natural, written(FactsTeacher(world), resources, natural), strict=True):
        if chunk.suffix[-1] == world.lexicon.end:
            assert text[-1] == world.lexicon.end and len(text) <= world.suffix_length
            assert world.text(text).endswith(("that is all . <|endoftext|>", "here the text ends . <|endoftext|>"))
            lengths.append(len(text) - len(chunk.suffix))
        else:
            assert len(text) == len(chunk.suffix) and world.lexicon.end not in text.tolist()
    assert len(lengths) > 30 and abs(np.mean(lengths)) < 4


def test_a_perfect_teacher_is_true_safe_sound_and_on_the_topic(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    found = figures(world, natural, written(FactsTeacher(world), resources, natural))
    assert (found.factuality, found.safety, found.well_formed, found.on_topic) == (1.0, 1.0, 1.0, 1.0)
    assert found.score > 2.9


def test_it_errs_as_often_as_it_is_told_to_and_always_alike(
    world: FactsWorld, resources: Resources, natural: tuple[Chunk, ...]
):
    texts = written(FactsTeacher(world, error=0.3), resources, natural)
    assert figures(world, natural, texts).factuality == pytest.approx(0.7, abs=0.03)
    assert texts[300:320] == written(FactsTeacher(world, error=0.3), resources, natural[300:320])
    assert texts != written(FactsTeacher(world, error=0.3), replace(resources, seed=1), natural)


def test_settings_that_no_teacher_can_have_are_refused(world: FactsWorld, resources: Resources):
    with pytest.raises(ValueError, match="error must be at least 0 and at most 1"):
        FactsTeacher(world, error=1.5)
    with pytest.raises(ValueError, match="suffix_length"):
        FactsTeacher(world).build(replace(resources, suffix_length=24))
