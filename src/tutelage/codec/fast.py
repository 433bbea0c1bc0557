"""Text to tokens and back through any Hugging Face fast tokenizer, exactly.

Text here is untrusted: a document that spells out ``<|endoftext|>`` gets the tokens of those characters,
never the id of end-of-text. Only this package appends that id.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any, cast

import numpy as np
import tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tutelage.codec.pieces import CodecError, Pieces, completes
from tutelage.folders import is_missing
from tutelage.types import Tokens

ANCHORS = ("\n", ".", "x")
"""Texts behind which a continuation is tokenised where tokenising it alone would change its beginning."""
LOOK = 4
"""Tokens looked at on each side of a cut; a UTF-8 character spans at most four."""


class HFCodec:
    """``protocols.Codec`` over a Hugging Face fast tokenizer: byte-level BPE, metaspace or word-level.

    Ids beyond the tokenizer's own (models pad their vocabulary) decode to nothing. Thread-safe.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: str | None = None) -> None:
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            raise CodecError(f"{type(tokenizer).__name__} is not a fast tokenizer: save one with tokenizer.json")
        # A copy: our settings must not reach the caller's tokenizer.
        backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._backend = backend
        self._eos = find_eos(backend, eos or cast("str | None", tokenizer.eos_token))
        vocabulary = backend.get_vocab(with_added_tokens=True)
        self._vocab_size = max(vocabulary.values()) + 1
        content = backend.to_str().encode() + self._eos.to_bytes(4, "little")
        self._fingerprint = hashlib.blake2b(content, digest_size=16).hexdigest()
        self._pieces = Pieces(backend, self._eos)

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return self._vocab_size

    @property
    def eos(self) -> int:
        """Id of end-of-text."""
        return self._eos

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content of ``tokenizer.json`` and of the choice of end-of-text."""
        return self._fingerprint

    def save(self, folder: Path) -> None:
        """Write the tokenizer as a Hugging Face folder, as it was loaded."""
        self._tokenizer.save_pretrained(str(folder))

    def encode(self, text: str) -> Tokens:
        """Tokens of ``text``, no special token added and none read out of the text."""
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """``encode`` of each text, on as many threads as the tokenizer takes.

        Raises:
            CodecError: where a text is not valid Unicode (a lone surrogate).
        """
        try:
            encoded = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError as error:
            raise CodecError(f"a text is not valid Unicode and cannot be tokenised: {error}") from error
        return [Tokens(np.array(one.ids, dtype=np.int32)) for one in encoded]

    def decode(self, tokens: Tokens) -> str:
        """Text of ``tokens``; end-of-text decodes to nothing, other special tokens to their spelling."""
        ids = tokens.array[tokens.array != self._eos]
        return self._backend.decode(ids.tolist(), skip_special_tokens=False)

    def is_boundary(self, tokens: Tokens, cut: int, *, word: bool) -> bool:
        """Whether text may be cut before token ``cut``: between characters, and at white space if ``word``.

        Looks at four tokens on each side. Word-level tokenizers always cut between words.
        """
        if not 0 <= cut <= len(tokens):
            return False
        left = tokens.array[max(0, cut - LOOK) : cut].tolist()
        right = tokens.array[cut : cut + LOOK].tolist()
        if self._pieces.joined:
            inside = self._pieces.inside.encode()
            return not (word and inside and left and right and self._pieces(right[0]).startswith(inside))
        before = b"".join(map(self._pieces, left))
        after = b"".join(map(self._pieces, right))
        if not completes(before) or (after and 0x80 <= after[0] < 0xC0):
            return False
        if not word or not before or not after or self._eos in (left[-1], right[0]):
            return True
        beside = before.decode("utf-8", "ignore")[-1:], after.decode("utf-8", "ignore")[:1]
        return any(character.isspace() for character in beside)

    def encode_after(self, prefix: Tokens, text: str) -> Tokens | None:
        """Tokens of ``text`` as a continuation of ``prefix``; ``None`` where the two do not decode to both.

        Exact means ``decode(prefix + result) == decode(prefix) + text``. A tokenizer that joins its words by
        spaces when it decodes may also put that one space between the two.
        """
        before = self.decode(prefix)
        exact = {before + text, before + " " + text} if self._pieces.joined else {before + text}
        for tokens in self._tries(text):
            if self.decode(Tokens.join([prefix, tokens])) in exact:
                return tokens
        return None

    @property
    def has_chat_template(self) -> bool:
        """Whether the tokenizer has a chat template."""
        return bool(self._tokenizer.chat_template)

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """Spellings of the special tokens."""
        return tuple(t.content for t in self._tokenizer.added_tokens_decoder.values() if t.special)

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation through the chat template, up to where the next answer begins; without thinking aloud."""
        given: Any = [dict(message) for message in messages]
        return str(
            self._tokenizer.apply_chat_template(
                given, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    def encode_rendered(self, text: str) -> Tokens:
        """Tokens of rendered text, in which special tokens are read as such; for nothing that others wrote."""
        return Tokens(np.array(self._rendered.encode(text, add_special_tokens=False).ids, dtype=np.int32))

    @cached_property
    def _rendered(self) -> tokenizers.Tokenizer:
        """The tokenizer as it reads rendered text."""
        backend = tokenizers.Tokenizer.from_str(self._backend.to_str())
        backend.encode_special_tokens = False
        return backend

    def _tries(self, text: str) -> Iterator[Tokens]:
        """Ways to tokenise ``text``: alone, then behind an anchor that keeps off a marker of its start."""
        try:
            yield self.encode(text)
            for anchor in ANCHORS:
                alone, both = self.encode_many([anchor, anchor + text])
                if both[: len(alone)] == alone:
                    yield both[len(alone) :]
        except CodecError:  # not valid Unicode: nothing decodes to it
            return


def find_eos(backend: tokenizers.Tokenizer, eos: str | None) -> int:
    """The id of end-of-text, or a clear error."""
    if eos is None:
        raise CodecError("the tokenizer names no end-of-text token: set tokenizer.eos to one of its tokens")
    found = backend.token_to_id(eos)
    if found is None:
        raise CodecError(f"tokenizer.eos is {eos!r}, which is not in the tokenizer's vocabulary")
    return found


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A Hugging Face fast tokenizer as it stands in a run."""

    path: str
    """A local folder with ``tokenizer.json``, or a name on the hub. No code from there is run."""
    eos: str | None = None
    """The end-of-text token; by default the one that the tokenizer names."""

    def build(self, field: str = "tokenizer.path") -> HFCodec:
        """Load it; ``field`` is the setting that names it, for messages.

        Raises:
            CodecError: where there is no fast tokenizer at ``path``, or no end-of-text token.
        """
        folder = Path(self.path).expanduser()
        if is_missing(self.path):
            raise CodecError(f"{field} {self.path!r}: there is no such folder {folder.absolute()}")
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder) if folder.exists() else self.path, use_fast=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise CodecError(
                f"{field} {self.path!r}: no fast tokenizer was found in this folder or hub name; "
                f"a folder needs tokenizer.json ({shorten(str(error), 200, placeholder=' …')})"
            ) from error
        return HFCodec(cast("PreTrainedTokenizerBase", tokenizer), self.eos)
