"""Pictures as matplotlib figures, drawn without global state."""
