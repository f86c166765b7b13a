"""What people look at: still pictures, the report's page, the terminal."""
