"""The log held against the chain: anchors, times, contracts, what a database behind has lost."""
