"""What single tokens stand for inside a text, in bytes: all that is needed to see where a text may be cut."""

import json
from typing import Any

import tokenizers


class CodecError(ValueError):
    """A tokenizer that cannot be loaded, used or combined with this model."""


def byte_of_symbol() -> dict[str, int]:
    """The byte that each symbol of a byte-level vocabulary stands for.

    Printable bytes stand for themselves; the others were given the code points from 256 on, in order.
    """
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(shown)]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def decoder_steps(tree: Any) -> list[dict[str, Any]]:
    """The steps of a tokenizer's decoder as ``tokenizer.json`` has them, sequences flattened."""
    if not tree:
        return []
    if tree["type"] == "Sequence":
        return [step for part in tree["decoders"] for step in decoder_steps(part)]
    return [tree]


class Pieces:
    """The bytes that single tokens stand for inside a text, worked out once an id."""

    def __init__(self, backend: tokenizers.Tokenizer, eos: int) -> None:
        self._backend = backend
        self._eos = eos
        steps = decoder_steps(json.loads(backend.to_str())["decoder"])
        kinds = {step["type"] for step in steps}
        self._symbols = byte_of_symbol() if "ByteLevel" in kinds else {}
        self._fallback = "ByteFallback" in kinds
        self._replaced = [(s["pattern"]["String"], s["content"]) for s in steps if s["type"] == "Replace"]
        self._replaced += [(s["replacement"], " ") for s in steps if s["type"] == "Metaspace"]
        self.joined = not steps or "WordPiece" in kinds
        """Whether decoding puts a space between tokens."""
        self.inside = next((str(s["prefix"]) for s in steps if s["type"] == "WordPiece"), "")
        """What marks a token that continues a word, where the tokenizer has such a mark."""
        self._known: dict[int, bytes] = {}

    def __call__(self, token: int) -> bytes:
        """The UTF-8 bytes of ``token``; nothing for end-of-text and for ids that the tokenizer lacks."""
        piece = self._known.get(token)
        if piece is None:
            piece = self._known[token] = b"" if token == self._eos else self._bytes(token)
        return piece

    def _bytes(self, token: int) -> bytes:
        text = self._backend.id_to_token(token)
        if text is None:
            return b""
        if self._fallback and len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            return bytes([int(text[3:5], 16)])
        if self._symbols and all(symbol in self._symbols for symbol in text):
            return bytes(self._symbols[symbol] for symbol in text)
        for pattern, content in self._replaced:
            text = text.replace(pattern, content)
        return text.encode("utf-8", "replace")


def completes(raw: bytes) -> bool:
    """Whether ``raw`` ends where a UTF-8 character ends."""
    for back, byte in enumerate(reversed(raw[-4:]), start=1):
        if byte < 0x80:
            return True
        if byte >= 0xC0:
            return back == (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return True
