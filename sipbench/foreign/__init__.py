"""Networks made elsewhere: from a file of any common format to a module that maps images to images."""
