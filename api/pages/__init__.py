"""The console's pages: plain HTML from the server, usable without a mouse and without JavaScript."""
