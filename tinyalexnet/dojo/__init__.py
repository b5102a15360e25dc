"""The dojo: exercises, and a check that explains what is wrong."""
