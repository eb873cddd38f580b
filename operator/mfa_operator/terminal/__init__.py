"""A person at a terminal: signals that wait for the right moment, secrets that leave nothing on the screen."""
