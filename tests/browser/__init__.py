"""Journeys in a real browser against a fresh server."""
