"""Loads Tutelage's policy: the only file that knows where specs of models live."""

import torch

from benchmarks.model import EOS, Job
from tutelage.codec import Tokenizer
from tutelage.policy import Policy
from tutelage.weights import Precision, Pretrained, load_model


def load_policy(job: Job, precision: Precision | None = None) -> Policy:
    """The saved model: float32 on a CPU and mixed precision on a GPU, unless told otherwise."""
    precision = precision or ("mixed" if job.device == "cuda" else "float32")
    codec = Tokenizer(job.folder).build()
    assert codec.eos == EOS
    model = load_model(Pretrained(job.folder, precision=precision), codec, seed=0, device=torch.device(job.device))
    return Policy(model, mixed=precision == "mixed")
