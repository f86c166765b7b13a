"""`digits diff`: collect (the results at both revisions), render (text, Markdown, pictures)."""
