"""What comes from elsewhere: files that claim too much, and words that mean more than they say."""
