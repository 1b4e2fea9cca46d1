"""Issuing certificates, changing their state, erasing their content when its time is over."""
