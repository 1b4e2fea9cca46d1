"""The ledger: statements, certificates, the Merkle log, its checkpoints and their anchor on chain."""
