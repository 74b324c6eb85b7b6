"""The console: JSON API, pages for the people of the school, and the gateway's own public pages."""
