"""The log and its one writer: batches in, entries appended and anchored, answers out."""
