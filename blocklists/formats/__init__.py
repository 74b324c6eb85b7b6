"""List formats: each turns numbered lines into entries and refusals."""
