"""The winner, handed over: a folder with the model that the report recommends, loaded as it was measured."""
