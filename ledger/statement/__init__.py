"""What is signed: its form, its kinds, and reading it strictly. Pure."""
