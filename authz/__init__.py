"""Grants, codes, policy and the lookup itself: who may see which field, where, when and for what."""
