"""Commands on servers: start, stop, wait for, show and adopt them, and look at their ports and logs."""
