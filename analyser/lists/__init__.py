"""The life of a list: where it comes from, fetching, preview against last week's traffic, guards and the second person."""
