"""How long a text a model takes, and how far it looks back, as its configuration states it."""

import re
from collections.abc import Iterator
from typing import Any, cast

from transformers import PretrainedConfig

_WINDOW = re.compile(r"(window|window_size|window_len|window_length|attention_chunk_size|local_attention)$")


def context_length(config: PretrainedConfig) -> int | None:
    """Most positions that the configuration names, if it names any.

    Where rotations change beyond a length (``longrope``), that length: a longer text has them change for every token
    of its batch, and for tokens whose keys are held already, so that what a text is given would hang on its neighbours.
    """
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
    config = config.get_text_config()
    # Some state -1 where there is no limit.
    named = next((int(n) for name in names if (n := getattr(config, name, None)) and n > 0), None)
    return min([n for n in (named, *_turns(getattr(config, "rope_parameters", None))) if n is not None], default=None)


def _turns(rope: Any) -> Iterator[int]:
    """The lengths beyond which rotations are others, of all kinds of layers."""
    if not isinstance(rope, dict):
        return
    parameters = cast("dict[str, Any]", rope)
    if parameters.get("rope_type") == "longrope":
        yield int(parameters["original_max_position_embeddings"])
    for inner in parameters.values():
        yield from _turns(inner)


def attention_window(config: PretrainedConfig) -> int | None:
    """The shortest window or chunk of attention that the configuration names, in tokens, if it names any.

    Such a model counts columns, so no tree may be longer. A window that is longer than what the probe scores can only
    be known by its name: ``sliding_window``, ``window_size`` (GPT-Neo), ``attention_chunk_size`` (Llama 4), and so on.
    """
    named: dict[str, Any] = vars(config.get_text_config())
    sizes = [n for name, n in named.items() if _WINDOW.search(name) and type(n) is int and n > 0]
    return min(sizes, default=None)
