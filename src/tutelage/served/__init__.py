"""Rollouts sampled by vLLM servers from weights that are pushed to them."""

from tutelage.served.folder import write_folder
from tutelage.served.looking import held_weights
from tutelage.served.push import Pushed, PushFailed, push
from tutelage.served.sampling import ServedSampler
from tutelage.served.settings import RolloutServers

__all__ = ["PushFailed", "Pushed", "RolloutServers", "ServedSampler", "held_weights", "push", "write_folder"]
