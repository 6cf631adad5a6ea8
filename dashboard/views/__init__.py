"""Screens: widgets make a request, the request makes the screen."""
