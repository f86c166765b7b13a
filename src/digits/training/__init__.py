"""How a model is fitted, saved and asked."""
