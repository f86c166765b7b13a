"""Pictures as matplotlib figures, drawn without global state.

theme (colours, saving), raw (raw data), model (one trained model), comparison (several models).
"""
