"""What the flows share; a flow imports from here, and nothing here imports a flow."""
