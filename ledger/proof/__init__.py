"""What proves an entry: canonical bytes, the Merkle tree, signed checkpoints, receipts. Pure."""
