"""A method, a degradation, a dataset and a metric for sipbench: what conf/ names lies beside it."""
