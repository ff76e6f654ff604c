"""The Gateway's controller: it takes up the route, and acts on its weights."""

from __future__ import annotations

from tests.unit.decide.worlds.api_server import ApiServer
from tests.unit.decide.worlds.specs import MODEL


class Gateway(ApiServer):
    """What becomes of the HTTPRoute of the model."""

    def speak(self, word: str = "acts", *, tell: bool = True) -> None:
        """The Gateway's controller takes up the route, refuses it, or a replica of it is behind."""
        route = self.objects.get(("HTTPRoute", MODEL))
        if route is None:
            return
        refs, generation = route["spec"]["parentRefs"], route["metadata"]["generation"]
        accepted = "False" if word == "refuses" else "True"
        seen = generation - 1 if word == "is behind" else generation
        states = (("Accepted", accepted), ("ResolvedRefs", "True"))
        conditions = [
            {"type": t, "status": s, "reason": "NotAllowedByListeners", "observedGeneration": seen}
            for t, s in states
        ]
        parents = [{"parentRef": ref, "conditions": conditions} for ref in refs]
        if (route.get("status") or {}).get("parents") != parents:
            self.set_status("HTTPRoute", MODEL, {"parents": parents}, tell=tell)
        if word != "is behind":
            backends = route["spec"]["rules"][-1]["backendRefs"] if word == "acts" else []
            self.routed = {b["name"].removesuffix("-encoder"): b["weight"] for b in backends}
