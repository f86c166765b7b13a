"""Pages that carry everything and load nothing: the templates and the style that they share."""
