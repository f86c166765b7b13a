"""What dvc.yaml runs: a module per stage, which reads params, calls the domain, writes, tracks."""
