"""History and checking: what happened, shown with its proof, and held against the chain."""
