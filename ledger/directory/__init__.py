"""Who is enrolled: keys with their role, and how a person is named without naming them."""
