"""Silence for libraries that talk while we work: progress bars of model files, advice about pad tokens.

What they say is of no use in the middle of our own progress, and is repeated by every process of a study. Set
``TRANSFORMERS_VERBOSITY`` to hear transformers all the same. Errors are always heard.
"""

import os
import sys


def hush() -> None:
    """Switch off the progress bars and advice of transformers, huggingface_hub and datasets, loaded already or not."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers.utils import logging

    logging.disable_progress_bar()
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()
    if "datasets" in sys.modules:
        from datasets.utils.logging import disable_progress_bar

        disable_progress_bar()
