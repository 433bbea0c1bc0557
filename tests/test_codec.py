"""The codec is exact for the three families of tokenizers that language models use."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tutelage.codec import CodecError, HFCodec, Tokenizer, require_fits, train_tokenizer
from tutelage.protocols import Codec
from tutelage.types import Tokens

CORPUS = [
    "The quick brown fox jumps over the lazy dog. ",
    "Ein schöner Tag, 漢字 und 🙂 dazu.\n\n",
    "x = 1 + 2",
] * 4


def byte_level(folder: Path) -> HFCodec:
    train_tokenizer(CORPUS, 300, folder)
    return Tokenizer(str(folder)).build()


def metaspace() -> HFCodec:
    """As Llama's first tokenizers: a space prepended to every text, bytes as the way out."""
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    backend = Backend(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", "</s>", *raw], show_progress=False)
    backend.train_from_iterator(["The quick brown fox jumps over the lazy dog"] * 4, trainer)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    return HFCodec(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"))


def word_level() -> HFCodec:
    words = ["</s>", "[UNK]", "alice", "was", "born", "in", "paris", "."]
    backend = Backend(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return HFCodec(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"))


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> HFCodec:
    return byte_level(tmp_path_factory.mktemp("tokenizer"))


def test_a_trained_tokenizer_satisfies_the_protocol_and_loads_by_its_fingerprint(
    codec: HFCodec, tmp_path: Path
) -> None:
    again = byte_level(tmp_path)
    assert isinstance(codec, Codec)
    assert codec.fingerprint == again.fingerprint
    assert codec.fingerprint != metaspace().fingerprint
    assert (codec.vocab_size, codec.eos) == (300, 0)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_byte_level_text_survives_the_round_trip(codec: HFCodec, text: str) -> None:
    assert codec.decode(codec.encode(text)) == text


def test_end_of_text_decodes_to_nothing_and_cannot_be_smuggled_in_by_a_document(codec: HFCodec) -> None:
    spelled = codec.encode("a<|endoftext|>b")
    assert codec.eos not in spelled.tolist()
    assert codec.decode(spelled) == "a<|endoftext|>b"
    assert codec.decode(Tokens.join([codec.encode("ab"), Tokens([codec.eos])])) == "ab"


def test_encode_many_is_encode_of_each(codec: HFCodec) -> None:
    assert codec.encode_many(CORPUS) == [codec.encode(text) for text in CORPUS]
    assert codec.encode_many([]) == []


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("aé漢🙂 \n"), min_size=1, max_size=12))
def test_a_boundary_never_splits_a_character(codec: HFCodec, text: str) -> None:
    tokens = codec.encode(text)
    for cut in range(len(tokens) + 1):
        whole = codec.decode(tokens[:cut]) + codec.decode(tokens[cut:]) == text
        assert codec.is_boundary(tokens, cut, word=False) == whole


def test_a_cut_inside_an_emoji_is_refused(codec: HFCodec) -> None:
    tokens = codec.encode("🦉")
    inside = range(1, len(tokens))
    assert len(inside) > 0
    assert not any(codec.is_boundary(tokens, cut, word=False) for cut in inside)
    assert codec.is_boundary(tokens, 0, word=True)
    assert codec.is_boundary(tokens, len(tokens), word=True)
    assert not codec.is_boundary(tokens, len(tokens) + 1, word=False)


@pytest.mark.parametrize("family", ["byte", "metaspace"])
def test_a_word_boundary_has_white_space_beside_it(codec: HFCodec, family: str) -> None:
    chosen = codec if family == "byte" else metaspace()
    tokens = chosen.encode("The quick brownish foxes\njump")
    cuts = [cut for cut in range(1, len(tokens)) if chosen.is_boundary(tokens, cut, word=True)]
    assert len(cuts) >= 4
    assert len(cuts) < len(tokens) - 1
    for cut in cuts:
        after = chosen.decode(tokens)[len(chosen.decode(tokens[:cut])) :]
        assert after[0].isspace() or chosen.decode(tokens[:cut])[-1].isspace()


def test_words_apart_from_end_of_text_may_always_be_cut(codec: HFCodec) -> None:
    tokens = Tokens.join([codec.encode("ab"), Tokens([codec.eos]), codec.encode("cd")])
    at = tokens.tolist().index(codec.eos)
    assert codec.is_boundary(tokens, at, word=True)
    assert codec.is_boundary(tokens, at + 1, word=True)


def test_a_word_level_tokenizer_cuts_everywhere_and_joins_by_one_space() -> None:
    words = word_level()
    prefix = words.encode("alice was")
    assert all(words.is_boundary(prefix, cut, word=True) for cut in range(3))
    for text in ("born in paris .", " born in paris ."):
        tokens = words.encode_after(prefix, text)
        assert tokens is not None
        assert words.decode(Tokens.join([prefix, tokens])) == "alice was born in paris ."
    assert words.encode_after(prefix, "born in berlin .") is None
    assert words.encode_after(prefix, "born in  paris .") is None


@pytest.mark.parametrize("text", [" dog", "dog", "\n\nThe fox", "s over", " ", "", "🙂", "  two spaces "])
@pytest.mark.parametrize("before", ["The quick", "The quick ", "", "fox\n"])
def test_a_continuation_decodes_to_prefix_and_text(codec: HFCodec, before: str, text: str) -> None:
    for chosen in (codec, metaspace()):
        prefix = chosen.encode(before)
        tokens = chosen.encode_after(prefix, text)
        assert tokens is not None
        assert chosen.decode(Tokens.join([prefix, tokens])) == before + text


def test_a_continuation_that_cannot_be_exact_is_none(codec: HFCodec) -> None:
    owl = codec.encode("🦉")
    rest = codec.decode(owl[1:])
    assert codec.encode_after(codec.encode("x"), "\ud800") is None
    assert codec.encode_after(owl[:1], "x") is not None
    assert metaspace().encode_after(Tokens([]), rest + "\ud800") is None
    assert word_level().encode_after(Tokens([]), "Alice") is None


def test_text_with_a_lone_surrogate_is_refused(codec: HFCodec) -> None:
    with pytest.raises(CodecError, match="not valid Unicode"):
        codec.encode("\ud800")


def test_a_missing_tokenizer_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=r"tokenizer\.path .*nowhere.*there is no such folder"):
        Tokenizer(str(tmp_path / "nowhere")).build()


def test_a_damaged_tokenizer_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{damaged")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(CodecError, match=r"tokenizer\.path .*no fast tokenizer"):
        Tokenizer(str(tmp_path)).build()


def test_a_tokenizer_without_end_of_text_asks_for_one() -> None:
    backend = Backend(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(CodecError, match=r"tokenizer\.eos"):
        HFCodec(PreTrainedTokenizerFast(tokenizer_object=backend))
    with pytest.raises(CodecError, match="'<eos>'"):
        HFCodec(PreTrainedTokenizerFast(tokenizer_object=backend), eos="<eos>")
    assert HFCodec(PreTrainedTokenizerFast(tokenizer_object=backend), eos="a").eos == 0


def test_a_tokenizer_larger_than_the_model_is_refused_with_both_numbers(codec: HFCodec) -> None:
    require_fits(codec, 300)
    with pytest.raises(CodecError, match=r"300 tokens.*256.*at least 300"):
        require_fits(codec, 256)


def test_training_a_tokenizer_needs_text_and_room(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match="256 bytes"):
        train_tokenizer(CORPUS, 200, tmp_path)
    with pytest.raises(CodecError, match="no text"):
        train_tokenizer(["", ""], 300, tmp_path)
