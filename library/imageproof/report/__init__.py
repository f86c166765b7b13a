"""What people look at: plots (pictures), page (the report)."""
