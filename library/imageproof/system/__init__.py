"""What surrounds a program: git, processes, terminal, storage; no stage computes with it."""
