"""Where the server listens, and whom it answers."""

ADDRESS = "127.0.0.1"
ALLOWED_HOSTS = ("localhost", ADDRESS)  # else a page elsewhere could reach us by DNS rebinding
