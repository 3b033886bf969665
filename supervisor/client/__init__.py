"""The client side of the control socket: find the daemon, start it if necessary, call its methods."""
