"""Which device a run means."""

import re

import torch


def device_of(name: str) -> torch.device:
    """The device that a run's ``device`` means on this machine.

    Raises:
        ValueError: it is no device, or one that this machine does not have.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, not {name!r}")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ValueError(f"device is {name!r}, but torch finds {gpus} GPUs here; choose auto or cpu, or see doctor")
    return device
