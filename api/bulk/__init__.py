"""Issuing in bulk: exports on their way in, rows signed, many certificates checked."""
