"""A kiosk's or counter's request for a grant."""
