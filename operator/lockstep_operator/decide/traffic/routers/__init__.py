"""Who splits the requests between stable and candidate: one module per `traffic.router`."""

from lockstep_operator.decide.traffic.routers.router import Routed, Router, Traffic

__all__ = ["Routed", "Router", "Traffic"]
