"""Pictures as matplotlib figures, drawn without global state.

`title` is the heading of a picture; `names` has one name per class.
"""
