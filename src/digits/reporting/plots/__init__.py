"""Pictures as matplotlib figures, drawn without global state.

`title` is the heading of a picture; `names` has one name per class.
theme (colours, saving), raw (raw data), model and alluvial (one trained model), comparison
(several models).
"""
