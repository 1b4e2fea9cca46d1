"""What an operator runs on a ledger: the check, the watch, a witness, a backup, a trace."""
