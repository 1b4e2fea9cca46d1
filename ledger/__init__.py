"""The ledger: statements, certificates, the Merkle log, checkpoints and their anchor."""
