"""The lookup: what is decided, how a refusal is worded, what is recorded and released."""
