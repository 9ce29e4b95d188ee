"""The HTTP edge: doors make a Call of a request, relays make a response of a Reply."""
