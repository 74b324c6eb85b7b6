"""The learned second reader: hashed n-grams and one linear classifier a theme, trained by `rules.model.train`."""
