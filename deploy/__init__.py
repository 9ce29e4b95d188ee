"""What runs the gateway and watches it; code only in `monitoring`."""
