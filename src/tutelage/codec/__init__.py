"""Text to tokens and back: any Hugging Face fast tokenizer, or one trained on the corpus."""

from tutelage.codec.fast import HFCodec, Tokenizer
from tutelage.codec.pieces import CodecError
from tutelage.codec.training import END_OF_TEXT, require_fits, train_tokenizer

__all__ = ["END_OF_TEXT", "CodecError", "HFCodec", "Tokenizer", "require_fits", "train_tokenizer"]
