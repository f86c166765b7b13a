"""Every judgement, in numbers: numpy and scipy only."""
