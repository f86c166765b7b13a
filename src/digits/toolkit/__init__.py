"""What every such project needs; it imports nothing of the project above."""
