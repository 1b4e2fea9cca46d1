"""What the check finds, as values, and its report."""
