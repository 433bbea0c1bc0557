"""The policy's weights as a folder that servers read."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from tutelage.codec import HFCodec
from tutelage.policy import Policy

HEAD = "head.safetensors"
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
    weight: Any = policy.model.get_output_embeddings().weight
    save_file({name: weight.detach().cpu().contiguous()}, folder / HEAD, metadata={"format": "pt"})
    _change(folder / "config.json", lambda plain: plain | {"tie_word_embeddings": False})
    if (folder / INDEX).exists():  # files that it does not name are not read
        _change(folder / INDEX, lambda plain: plain | {"weight_map": plain["weight_map"] | {name: HEAD}})


def _change(path: Path, change: Any) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8"))), indent=2), "utf-8")
