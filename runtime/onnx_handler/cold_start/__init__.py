"""What makes an environment ready before it is asked, and keeps it so."""
