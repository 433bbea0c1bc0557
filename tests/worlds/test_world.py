"""The corpus, its tokenizer and its calibration."""

from collections import Counter

import numpy as np
import pytest

from tutelage.codec import HFCodec
from tutelage.config import from_plain, to_plain
from tutelage.protocols import Stream, StreamSpec
from tutelage.types import Chunk, Tokens
from tutelage.worlds.facts import Corruption, FactsStream, FactsWorld, measure, summarise
from tutelage.worlds.facts.language import INSULTS, VALUES, Kind
from tutelage.worlds.facts.world import is_unsafe


def test_the_same_settings_give_the_same_text_and_another_seed_another(world: FactsWorld):
    again = FactsWorld()
    assert again.document("facts", "7") == world.document("facts", "7")
    assert world.document("facts", "7") != world.document("facts", "8")
    assert FactsWorld(seed=1).knowledge.facts.tolist() != world.knowledge.facts.tolist()


def test_every_word_has_one_id_and_slots_are_contiguous(world: FactsWorld):
    lexicon = world.lexicon
    assert len(set(lexicon.words)) == len(lexicon.words) < 400
    for attribute, values in enumerate(VALUES.values()):
        assert [lexicon.words[lexicon.value(attribute, index)] for index in range(len(values))] == list(values)
    assert lexicon.words[lexicon.first_insult : lexicon.first_insult + len(INSULTS)] == INSULTS


def test_every_template_is_read_back_as_itself(world: FactsWorld):
    lexicon = world.lexicon
    for kind in Kind:
        for template in lexicon.of_kind(kind):
            attribute = max(template.attribute, 0)
            slot = lexicon.first_insult + 3 if kind is Kind.INSULT else lexicon.value(attribute, 5)
            (sentence,) = lexicon.parse(np.array(template.fill(lexicon.name(9), slot), np.int32))
            assert sentence.template == template
            assert sentence.person == (9 if template.name_at >= 0 else -1)
            assert sentence.value == (5 if kind is Kind.FACT else -1)
            assert sentence.insulting == (kind is Kind.INSULT)


def test_the_tokenizer_decodes_exactly_and_pieces_of_text_can_be_joined(
    world: FactsWorld, codec: HFCodec, natural: tuple[Chunk, ...]
):
    assert (codec.vocab_size, codec.eos) == (len(world.lexicon.words), world.lexicon.end)
    for chunk in natural[:50]:
        prefix, suffix = codec.decode(chunk.prefix), codec.decode(chunk.suffix)
        assert codec.encode(prefix) == chunk.prefix
        assert codec.decode(Tokens.join([chunk.prefix, chunk.suffix])) == prefix + suffix
        body = chunk.suffix[:-1] if chunk.suffix[-1] == codec.eos else chunk.suffix
        assert codec.encode_after(chunk.prefix, suffix) == body
        assert prefix.strip() == world.text(chunk.prefix)
        assert codec.is_boundary(chunk.document.tokens, chunk.cut, word=True)
    assert codec.encode("they live in Oslo .") == codec.encode(" they live in Oslo .")
    assert world.tokens("they live in Oslo .") == codec.encode("they live in Oslo .")
    assert codec.encode("xylophone").tolist() == [world.lexicon.unknown]


def test_chunks_are_cut_at_sentences_and_lie_in_their_document(world: FactsWorld, natural: tuple[Chunk, ...]):
    lexicon = world.lexicon
    for chunk in natural:
        ids = chunk.document.tokens
        assert ids[chunk.cut - len(chunk.prefix) : chunk.cut] == chunk.prefix
        assert chunk.prefix[-1] == lexicon.period and 1 <= len(chunk.prefix) <= world.prefix_length
        ended = chunk.suffix[-1] == lexicon.end
        body = chunk.suffix[: len(chunk.suffix) - ended]
        assert ids[chunk.cut : chunk.cut + len(body)] == body
        assert ended == (len(ids) - chunk.cut < world.suffix_length)
        assert len(chunk.suffix) == world.suffix_length or ended
    share = np.mean([chunk.suffix[-1] == lexicon.end for chunk in natural])
    assert 0.09 < share < 0.15


def test_the_first_sentence_of_a_prefix_names_somebody(world: FactsWorld, natural: tuple[Chunk, ...]):
    names = {world.lexicon.name(person) for person in range(world.people)}
    for chunk in natural:
        first = chunk.prefix.tolist()[: chunk.prefix.tolist().index(world.lexicon.period)]
        assert names & set(first)


def test_the_corpus_is_calibrated(world: FactsWorld):
    chunks = world.evaluation_chunks("natural", 3000)
    suffixes = summarise(measure(world, chunks, [chunk.suffix for chunk in chunks]))
    assert suffixes.safety == pytest.approx(0.79, abs=0.02)
    assert suffixes.factuality == pytest.approx(0.61, abs=0.02)
    assert suffixes.on_topic > 0.99 and suffixes.repetition < 0.01
    assert suffixes.effective_entities > 30


def test_clean_text_is_true_safe_whole_and_on_the_topic(world: FactsWorld):
    chunks = world.evaluation_chunks("clean", 500)
    suffixes = summarise(measure(world, chunks, [chunk.suffix for chunk in chunks]))
    assert (suffixes.factuality, suffixes.safety, suffixes.well_formed, suffixes.on_topic) == (1.0, 1.0, 1.0, 1.0)
    # The oracle must ask no more of a policy than an honest corpus gives.
    assert suffixes.score > 2.88


def test_unsafe_prefixes_carry_abuse(world: FactsWorld):
    assert all(is_unsafe(world.lexicon, chunk.prefix) for chunk in world.evaluation_chunks("unsafe", 30))


def test_misconceptions_are_what_most_mentions_state(world: FactsWorld):
    believed: Counter[bool] = Counter()
    knowledge, lexicon = world.knowledge, world.lexicon
    for index in range(300):
        they = -1
        for sentence in lexicon.parse(world.document("facts", str(index)).tokens.array):
            they = sentence.person if sentence.person >= 0 else they
            if sentence.template is not None and sentence.template.kind is Kind.FACT:
                misconception = knowledge.misconceptions[they, sentence.template.attribute]
                if misconception >= 0:
                    believed[sentence.value == misconception] += 1
    assert believed[True] / believed.total() == pytest.approx(0.62, abs=0.05)
    assert (knowledge.misconceptions >= 0).mean() == pytest.approx(0.2)
    assert not (knowledge.misconceptions == knowledge.facts).any()


def test_everybody_is_a_friend_of_as_many_as_are_theirs(world: FactsWorld):
    friends = world.knowledge.friends
    assert (np.bincount(friends.ravel(), minlength=world.people) == friends.shape[1]).all()
    assert all(len({person, *row}) == friends.shape[1] + 1 for person, row in enumerate(friends.tolist()))


def test_a_stream_reads_on_where_its_cursor_stands(world: FactsWorld, codec: HFCodec):
    spec = FactsStream(world)
    stream = spec.build(0, codec, "policy")
    assert isinstance(spec, StreamSpec) and isinstance(stream, Stream)
    whole, end = stream.read(stream.start(), 12)
    first, cursor = stream.read(stream.start(), 5)
    second, cursor = stream.read(cursor, 7)
    assert first + second == whole and cursor == end and cursor.taken == 12
    with pytest.raises(ValueError, match="cursor"):
        FactsStream(world, corpus="other").build(0, codec, "policy").read(cursor, 1)


def test_splits_seeds_corpora_and_the_evaluation_set_share_no_document(world: FactsWorld, codec: HFCodec):
    streams = [FactsStream(world).build(0, codec, split) for split in ("policy", "validation", "test")]
    streams += [FactsStream(world).build(1, codec, "policy"), FactsStream(world, corpus="b").build(0, codec, "policy")]
    sets = [{chunk.document.tokens for chunk in stream.read(stream.start(), 40)[0]} for stream in streams]
    sets.append({chunk.document.tokens for chunk in world.evaluation_chunks("natural", 40)})
    assert len(set.union(*sets)) == 40 * len(sets)
    assert len({stream.fingerprint for stream in streams}) == len(streams)


def test_another_worlds_tokenizer_is_refused(codec: HFCodec):
    with pytest.raises(ValueError, match="write_tokenizer"):
        FactsStream(FactsWorld(seed=1)).build(0, codec, "policy")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (lambda: Corruption(wrong_facts=1.2), "wrong_facts"),
        (lambda: Corruption(abusive_sentences=1.0), "abusive_sentences"),
        (lambda: FactsWorld(people=3), "people"),
        (lambda: FactsWorld(templates_per_attribute=9), "templates_per_attribute"),
        (lambda: FactsWorld(sections=(8, 4)), "sections"),
        (lambda: FactsWorld(fillers=-0.1), "fillers"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, field: str):
    with pytest.raises(ValueError, match=field):
        settings()


def test_a_world_survives_run_yaml():
    spec = FactsStream(FactsWorld(seed=3, corruption=Corruption(wrong_facts=0.1)), clean=True)
    assert from_plain(StreamSpec, to_plain(spec, StreamSpec)) == spec
