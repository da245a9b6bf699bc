"""One cell, in the order of the data: what it is, what it needs, its parts, the run, the score, the store."""
