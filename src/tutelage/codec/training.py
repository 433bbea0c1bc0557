"""A tokenizer of our own from a corpus, and the check that a tokenizer fits a model."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tutelage.codec.pieces import CodecError
from tutelage.protocols import Codec

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], vocab_size: int, out: Path) -> None:
    """Train a byte-level BPE on ``texts`` and save it to ``out`` as a Hugging Face fast tokenizer folder.

    The same texts give the same tokenizer. ``<|endoftext|>`` is id 0, end-of-text and padding.

    Raises:
        CodecError: where ``vocab_size`` leaves no room beside the 256 bytes, or there is no text.
    """
    if vocab_size < 257:
        raise CodecError(f"vocab_size is {vocab_size}: a byte-level tokenizer needs 256 bytes and {END_OF_TEXT}")
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    seen = 0

    def counted() -> Iterator[str]:
        nonlocal seen
        for text in texts:
            seen += bool(text)
            yield text

    backend.train_from_iterator(counted(), trainer)
    if not seen:
        raise CodecError("there is no text to train a tokenizer on")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )
    out.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(out)


def require_fits(codec: Codec, vocab_size: int) -> None:
    """Refuse a tokenizer with more ids than the model has embeddings.

    Raises:
        CodecError: naming both numbers and the remedy.
    """
    if codec.vocab_size > vocab_size:
        raise CodecError(
            f"the tokenizer has {codec.vocab_size} tokens but the model's vocabulary has {vocab_size}: "
            "use the tokenizer that the model was trained with, or give the model a vocab_size of at least "
            f"{codec.vocab_size}"
        )
