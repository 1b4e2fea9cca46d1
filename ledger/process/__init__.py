"""Processes with bounds for what nobody has checked, and ones that end with their starter."""
