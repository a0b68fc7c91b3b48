"""Networks and losses: the world model and what is learned inside it."""
