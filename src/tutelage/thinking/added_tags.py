"""Tags as tokens of their own: the tokenizer gets two, the model two rows, and both are written as one folder."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tutelage.thoughts import Tags, ThoughtError
from tutelage.weights import require_safetensors


def add_tags(model: str, out: Path, *, tokenizer: str | None = None, tags: Tags | None = None) -> None:
    """Write ``model`` with the tags as tokens to ``out``, as a Hugging Face folder with its tokenizer.

    The new rows of the embeddings and of the head are the mean of the others, so that a tag is neither likely nor
    unheard of before it was trained. The tokens are no special ones: text that spells a tag gets them.

    Args:
        model: folder or hub name of a causal language model.
        out: folder to write.
        tokenizer: its tokenizer where that lies elsewhere.
        tags: what becomes a token; without the white space that a tag of whole words carries.

    Raises:
        ThoughtError: the tokenizer has the tags already.
    """
    tags = tags or Tags()
    spellings = [tags.opening.strip(), tags.closing.strip()]
    home, source = _named(tokenizer or model), _named(model)
    pieces: Any = AutoTokenizer.from_pretrained(home, trust_remote_code=False)
    if pieces.add_tokens(spellings, special_tokens=False) < len(spellings):
        raise ThoughtError(f"{home} has {spellings[0]} or {spellings[1]} already: use it as it is")
    require_safetensors(Path(source))
    network: Any = AutoModelForCausalLM.from_pretrained(
        source, use_safetensors=True, dtype="auto", trust_remote_code=False
    )
    before = network.get_input_embeddings().weight.shape[0]
    if len(pieces) > before:
        network.resize_token_embeddings(len(pieces), mean_resizing=False)
    first = len(pieces) - len(spellings)
    with torch.no_grad():
        for layer in (network.get_input_embeddings(), network.get_output_embeddings()):
            if layer is not None:
                layer.weight[first : len(pieces)] = layer.weight[:first].mean(dim=0)
    network.save_pretrained(out)
    pieces.save_pretrained(out)


def _named(path: str) -> str:
    """A folder in full, or a hub name as it is."""
    folder = Path(path).expanduser()
    return str(folder) if folder.is_dir() else path
