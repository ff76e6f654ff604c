"""Which releases exist, what people ask of them, and how long they are kept."""
