"""What happened, as far as the one who asks may see it."""
