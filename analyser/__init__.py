"""Events into the store, alerts out of it, and the casework that people do on them."""
