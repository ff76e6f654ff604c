"""Encoders, one network a file."""

from lockstep_trainer.networks.base import Network
from lockstep_trainer.networks.building import build_network
from lockstep_trainer.pretrained.base import NetworkError

__all__ = ["Network", "NetworkError", "build_network"]
