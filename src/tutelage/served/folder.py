"""The policy's weights as a folder that servers read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from tutelage.codec import HFCodec
from tutelage.policy import Policy

BODY, HEAD = "model-00001-of-00002.safetensors", "model-head.safetensors"
INDEX = "model.safetensors.index.json"


def write_folder(policy: Policy, codec: HFCodec, folder: Path) -> Path:
    """Write weights, configuration and tokenizer in the place of what ``folder`` held.

    A head that is tied to the embedding stands there by itself and is configured so: vLLM on a CPU packs the head when
    it starts, and would go on with that where the embedding alone is loaded anew.
    """
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    fresh.mkdir(parents=True)
    policy.save_hf(fresh)
    codec.save(fresh)
    _part_head(policy, fresh)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def tied_head(policy: Policy) -> str | None:
    """Name of the head's weight where it is the embedding's."""
    model = policy.model
    head: Any = model.get_output_embeddings()
    embedding: Any = model.get_input_embeddings()
    if head is None or head.weight.data_ptr() != embedding.weight.data_ptr():
        return None
    return next(f"{name}.weight" for name, module in model.named_modules() if module is head)


def _part_head(policy: Policy, folder: Path) -> None:
    name = tied_head(policy)
    if name is None:
        return
    head: Any = policy.model.get_output_embeddings()
    save_file({name: head.weight.detach().cpu().contiguous()}, folder / HEAD, metadata={"format": "pt"})
    _change(folder / "config.json", lambda plain: plain | {"tie_word_embeddings": False})
    whole = folder / "model.safetensors"
    if whole.exists():  # files beside it would not be read: an index names several
        whole.rename(folder / BODY)
        with safe_open(folder / BODY, "pt") as body:
            names: list[str] = list(body.keys())
        index: dict[str, Any] = {"metadata": {}, "weight_map": dict.fromkeys(names, BODY)}
        (folder / INDEX).write_text(json.dumps(index), "utf-8")
    _change(folder / INDEX, lambda plain: plain | {"weight_map": plain["weight_map"] | {name: HEAD}})


def _change(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8"))), indent=2), "utf-8")
