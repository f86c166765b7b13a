"""What people look at: pictures (`plots`), and the template of the page of results."""

PART_NAMES = {"test": "test", "holdout": "hold-out"}  # as pages and pictures call them
