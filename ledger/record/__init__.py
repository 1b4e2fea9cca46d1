"""On record of a service itself: who read what is another's, delays of showing it, releases."""
