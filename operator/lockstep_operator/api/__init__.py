"""The custom resources as typed Python. The CRDs in `crds/` are generated from these models."""
