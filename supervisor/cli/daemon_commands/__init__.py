"""Commands on the daemon, its settings, events, environments and service, and on this installation."""
