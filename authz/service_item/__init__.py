"""Service items: which certificate fields a piece of public business may ask for."""
