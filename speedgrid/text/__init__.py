"""Languages, templates and words, for whoever writes to people."""
