"""The command `diff`: collect (compares two revisions), render (text, Markdown, JSON)."""
