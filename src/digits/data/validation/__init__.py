"""Great Expectations' checks of the raw data: validate (what is checked and found), frames
(the data as tables), expectations (the checks)."""
