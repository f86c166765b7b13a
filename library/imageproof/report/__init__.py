"""What people look at: plots (pictures), page (the report), console (what commands print)."""
