"""How the tables of others are read: their text, their lines, their headers and the figures in their cells."""
