"""The report of an evidence bundle for people: its content, its story, its words. Pure."""
