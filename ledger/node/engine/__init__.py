"""The chain itself: blocks, the Ethereum machine, the pool, the store, mining, the full check."""
