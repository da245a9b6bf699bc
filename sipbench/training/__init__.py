"""Training of priors and of networks: one resumable loop, the losses, and how a trained folder is laid down."""
