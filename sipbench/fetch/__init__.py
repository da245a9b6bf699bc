"""What comes over the network: files by their address (`web`), packages (`registry`), models of the hub (`hub`)."""
