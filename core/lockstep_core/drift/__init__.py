"""Statistics of watching live embeddings: sketches, baselines, distances and evidence.

Needs numpy alone, and imports nothing itself. `docs/drift-statistics.md` has the formulae, where
they come from, and the error rates that were measured.
"""
