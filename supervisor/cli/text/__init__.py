"""The daemon's answers as text for people, where several commands print it or it is long."""
