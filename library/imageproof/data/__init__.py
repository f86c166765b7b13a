"""Raw data, before any model: readers/, validation/, exploration, splitting."""
