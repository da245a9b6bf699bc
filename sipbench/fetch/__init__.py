"""What comes over the network: files (`download`), packages (`registry`), models of the hub (`hub`)."""
