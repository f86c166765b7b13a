"""`digits diff`: side (one revision), collect (compares two), render (text, Markdown)."""
