"""What the service answers: the shapes of its JSON, and errors as HTTP says them."""
