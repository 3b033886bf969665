"""Everything that depends on the operating system; no other room asks which one this is."""
