"""When memory does not suffice."""

import torch


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on a GPU or on the CPU, where torch has no exception of its own for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
