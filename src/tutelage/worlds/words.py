"""Text in whole words, as every world writes it: a word is a token, which carries the space before it."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tutelage.protocols import Codec

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<unk>"


def save_tokenizer(
    words: Sequence[str],
    folder: Path,
    *,
    before: normalizers.Normalizer | None = None,
    chat_template: str | None = None,
) -> Path:
    """Write a tokenizer of these words, end-of-text and unknown first, as a Hugging Face folder; return ``folder``.

    Decoding is exact and pieces of text can be joined; text that does not begin with a space is read as if it did.

    Args:
        words: all that it knows, each once.
        folder: where it is written.
        before: what becomes of text before it is read.
        chat_template: how conversations are read, if they are.
    """
    vocabulary = {word: index for index, word in enumerate([*words[:2], *(f" {word}" for word in words[2:])])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    spaced = normalizers.Replace(Regex(r"^(?=\S)"), " ")
    tokenizer.normalizer = spaced if before is None else normalizers.Sequence([before, spaced])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s*\S+"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = chat_template  # given above, ``None`` would be written into the files
    fast.save_pretrained(folder)
    return folder


def speaks(codec: Codec, words: Sequence[str]) -> bool:
    """Whether ``codec`` has these words, each at its place, and ends text with the first."""
    text = "".join(f" {word}" for word in words[2:])
    return codec.eos == 0 and codec.encode(text).tolist() == list(range(2, len(words)))
