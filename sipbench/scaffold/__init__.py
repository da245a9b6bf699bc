"""What `sipbench new` writes: a file of code, its YAML and a test, for a method, a degradation, a dataset and more."""
