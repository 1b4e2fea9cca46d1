"""What a row of an export comes to: a prepared certificate, or one reason why not."""
