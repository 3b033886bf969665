"""The platform wings. Nobody else asks which system this is."""
