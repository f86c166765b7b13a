"""The pages that people open: report (of the pipeline) and monitor (of `digits monitor`)."""
