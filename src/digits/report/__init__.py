"""What people look at: plots (pictures), page (the report), diff (two revisions), the console."""
