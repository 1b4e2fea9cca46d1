"""Grants, codes, policy and the lookup itself: who may see what, where, when."""
