"""What the flows share; nothing here imports a flow."""
