"""The report as one HTML page: render (content and page), tables (its tables as texts)."""
