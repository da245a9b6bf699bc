"""Images to pose problems with: drawn on the fly, or read from folders."""
