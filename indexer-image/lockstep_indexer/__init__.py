"""The indexer: `build` embeds a corpus and seals a FAISS index, `serve` answers searches in it."""
