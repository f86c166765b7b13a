"""Judgements on numbers: caret's statistics, paired tests, answer sets, drift, and the gate."""
